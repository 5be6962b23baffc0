//! Loading packet filters and taking them away.

use std::collections::BTreeSet;
use std::path::Path;

use super::execute::remove_path;
use super::records::{self, FilterRecord};
use super::{Machine, blocking};
use crate::model::DomainName;
use crate::sys::{SysError, files, nft};

impl Machine {
    pub(super) async fn load_filter(
        &self,
        domain: &DomainName,
        path: &Path,
        text: &str,
        stacked: &BTreeSet<String>,
    ) -> Result<(), SysError> {
        let _alone = self.lock_filter(domain).await;
        self.load_alone(domain, path, text, stacked).await
    }

    /// The same for who has the lock.
    pub(super) async fn load_alone(
        &self,
        domain: &DomainName,
        path: &Path,
        text: &str,
        stacked: &BTreeSet<String>,
    ) -> Result<(), SysError> {
        let namespace = self.namespace(domain)?;
        self.refuse_others(domain, &namespace).await?;
        // A namespace without a name is nobody else's to change.
        let rehearsed = self.has_rehearsed(domain, text);
        let mut before = None;
        let on_its_way = self.layout.filter_on_its_way(domain);
        if !rehearsed {
            // Killed from here on, nobody knows which of two texts the kernel has.
            write(&on_its_way, text, None).await?;
            before = self.probe(domain, &namespace).await?.generation;
            if let Err(error) = nft::load(&namespace, &format!("{text}{}", nft::deletion(stacked))).await {
                remove_path(on_its_way).await?;
                return Err(error);
            }
        }
        let probe = self.probe(domain, &namespace).await?;
        // One transaction is one generation. If there were more, someone else changed something at the same time, and the
        // table counts as changed, so that it is loaded again.
        let alone = rehearsed || is_next(before, probe.generation);
        let record = FilterRecord {
            namespace: self.namespace_record(probe),
            generation: probe.generation.filter(|_| alone),
            listing: None,
            text: records::digest(text),
        };
        write(path, text, Some(record)).await?;
        remove_path(on_its_way).await?;
        self.forget_stacked(domain, stacked).await
    }

    pub(super) async fn stack_filter(&self, domain: &DomainName, path: &Path, text: &str) -> Result<(), SysError> {
        let _alone = self.lock_filter(domain).await;
        let namespace = self.namespace(domain)?;
        write(path, text, None).await?;
        let before = self.probe(domain, &namespace).await?.generation;
        nft::load(&namespace, text).await?;
        self.note_generation(domain, before).await
    }

    pub(super) async fn unstack_filters(&self, domain: &DomainName, tables: &BTreeSet<String>) -> Result<(), SysError> {
        let _alone = self.lock_filter(domain).await;
        let namespace = self.namespace(domain)?;
        let before = self.probe(domain, &namespace).await?.generation;
        nft::delete_tables(&namespace, tables).await?;
        self.note_generation(domain, before).await?;
        self.forget_stacked(domain, tables).await
    }

    pub(super) async fn remove_filter(&self, domain: &DomainName) -> Result<(), SysError> {
        let _alone = self.lock_filter(domain).await;
        let namespace = self.namespace(domain)?;
        self.refuse_others(domain, &namespace).await?;
        nft::delete(&namespace).await?;
        for name in [records::FILTER, records::FILTER_LOADED] {
            remove_path(self.domain_dir(domain).join(name)).await?;
        }
        Ok(())
    }

    /// The one transaction since `before` changed another table of ours: `inet rdsup` is known to be what it was.
    async fn note_generation(&self, domain: &DomainName, before: Option<u32>) -> Result<(), SysError> {
        let probe = self.probe(domain, &self.namespace(domain)?).await?;
        let path = self.domain_dir(domain).join(records::FILTER_LOADED);
        let Some(record) = records::read::<FilterRecord>(&path) else { return Ok(()) };
        if record.generation.is_some() && record.generation == before && is_next(before, probe.generation) {
            records::write(&path, &FilterRecord { generation: probe.generation, ..record })?;
        }
        Ok(())
    }

    async fn forget_stacked(&self, domain: &DomainName, tables: &BTreeSet<String>) -> Result<(), SysError> {
        for table in tables {
            remove_path(self.layout.stacked_filter(domain, table)).await?;
        }
        Ok(())
    }
}

fn is_next(before: Option<u32>, after: Option<u32>) -> bool {
    before.is_some_and(|before| Some(before.wrapping_add(1)) == after)
}

/// Keeps the text for people, and the note of what was loaded.
async fn write(path: &Path, text: &str, record: Option<FilterRecord>) -> Result<(), SysError> {
    let (path, text) = (path.to_owned(), text.to_owned());
    blocking(move || {
        // Who empties the run directory takes no filter down, and must not keep one from being loaded.
        files::make_parents(&path).map_err(|error| SysError::path("make the directory of", &path, error))?;
        files::write(&path, text.as_bytes(), 0o644, None).map_err(|error| SysError::path("write", &path, error))?;
        match record {
            Some(record) => records::write(&path.with_file_name(records::FILTER_LOADED), &record),
            None => Ok(()),
        }
    })
    .await
}

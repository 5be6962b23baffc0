//! A packet filter that someone else removed or altered is put back at once, as it was loaded last: before anything else is
//! looked at, and whatever else is being done. Where that fails the domain is closed.

use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use super::Machine;
use super::records::{self, FilterRecord};
use crate::model::DomainName;
use crate::plan::LINK_GROUP;
use crate::sys::netlink::link;
use crate::sys::{SysError, files, nft};

/// What came of looking at a domain's filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mended {
    /// It is what was loaded.
    Unaltered,
    /// It was loaded again.
    Loaded {
        /// Whether there was no table at all.
        gone: bool,
    },
    /// What should be there cannot be told from the notes alone.
    Unclear,
}

impl Machine {
    /// Keeps others from changing a domain's filter while one does.
    pub(super) async fn lock_filter(&self, domain: &DomainName) -> OwnedMutexGuard<()> {
        let lock = Arc::clone(self.held().filters.entry(domain.clone()).or_default());
        lock.lock_owned().await
    }

    /// Loads the filter that was loaded last again, in one transaction, if the kernel no longer has it. An error says that it
    /// could not be loaded.
    pub async fn mend_filter(&self, domain: &DomainName) -> Result<Mended, SysError> {
        let _alone = self.lock_filter(domain).await;
        let directory = self.domain_dir(domain);
        let record: Option<FilterRecord> = records::read(&directory.join(records::FILTER_LOADED));
        let (Some(record), Ok(namespace)) = (record, self.namespace(domain)) else { return Ok(Mended::Unclear) };
        let looked = namespace.run_async(|| (nft::probe_here(), nft::tables_here())).await;
        let Ok((Ok(probe), Ok(tables))) = looked else { return Ok(Mended::Unclear) };
        if record.namespace != self.namespace_record(probe) {
            return Ok(Mended::Unclear);
        }
        if record.generation.is_some() && record.generation == probe.generation {
            return Ok(Mended::Unaltered);
        }
        if domain.is_host() && self.other_in_host(&tables).is_some() {
            return Ok(Mended::Unclear);
        }
        let gone = !nft::has_ours(&tables);
        // Of a domain whose policy is being changed nobody knows here which one the kernel is to have.
        let changes = self.layout.filter_on_its_way(domain).exists() || !self.stacked_in(domain, tables).is_empty();
        let path = directory.join(records::FILTER);
        let Some((text, _)) = files::read(&path).ok().flatten().filter(|_| !changes) else {
            return Ok(Mended::Unclear);
        };
        if records::digest(&text) != record.text {
            return Ok(Mended::Unclear);
        }
        // One that cannot be listed counts as altered.
        let listing = if gone { None } else { nft::list(&namespace).await.unwrap_or_default() };
        if listing.is_some_and(|listing| record.listing == Some(records::digest(&listing))) {
            return Ok(Mended::Unaltered);
        }
        let none = std::collections::BTreeSet::new();
        if let Err(error) = self.load_alone(domain, &path, &text, &none).await {
            tracing::warn!(%domain, "the packet filter cannot be loaded again, once more: {error}");
            self.load_alone(domain, &path, &text, &none).await?;
        }
        Ok(Mended::Loaded { gone })
    }

    /// Takes down what leads into a domain: its links, and the interfaces that it claimed. In the host others' interfaces stay.
    pub async fn close(&self, domain: &DomainName) -> Result<(), SysError> {
        let failed = |error| SysError::netlink(format!("take down what leads into {domain}"), error);
        let (claimed, _) = self.interface_records()?;
        let connection = self.connection(domain).await?;
        let links = link::dump(&connection).await.map_err(failed)?;
        let mut result = Ok(());
        for link in links.iter().filter(|link| link.up) {
            let Some(name) = &link.name else { continue };
            let leads_in = if domain.is_host() {
                link.group == LINK_GROUP && self.is_end_in_host(&connection, link).await?
            } else {
                link.group == LINK_GROUP || claimed.get(name).is_some_and(|record| &record.domain == domain)
            };
            if leads_in {
                result = result.and(link::set_up(&connection, name, false).await);
            }
        }
        result.map_err(failed)
    }
}

//! Whose a namespace is, and whether its packet filter is as it was loaded.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::records::{self, FilterRecord, NamespaceRecord};
use super::{Machine, blocking};
use crate::model::DomainName;
use crate::plan::{FileOwner, Layout, NamespaceState, ObservedFilter, STACKED};
use crate::render::{run_dir_of_host, table_comment};
use crate::sys::files::Owners;
use crate::sys::netns::{self, Namespace};
use crate::sys::nft::{self, Probe, Table};
use crate::sys::{SysError, files};

/// The table `inet rdsup`.
pub(super) enum Filter {
    Absent,
    /// Its listing, unless it was not needed, and the text that it was made from, if it is unaltered.
    There {
        listing: Option<String>,
        text: Option<String>,
    },
}

impl Filter {
    pub(super) fn observed(self) -> Option<ObservedFilter> {
        match self {
            Self::Absent => None,
            Self::There { text, .. } => Some(ObservedFilter { text }),
        }
    }
}

impl Machine {
    pub(super) async fn filter_of(
        &self,
        domain: &DomainName,
        namespace: &Namespace,
        probe: Probe,
        tables: &[Table],
    ) -> Result<Filter, SysError> {
        let directory = self.domain_dir(domain);
        let record: Option<FilterRecord> = records::read(&directory.join(records::FILTER_LOADED));
        let record = record.filter(|record| record.namespace == self.namespace_record(probe));
        let unchanged = |record: &FilterRecord| record.generation.is_some() && record.generation == probe.generation;
        let listing = match &record {
            Some(record) if unchanged(record) => None,
            // Whoever may not ask for the generation may not list either: an ordinary user looking at the host.
            None if probe.generation.is_none() && domain.is_host() => return Ok(Filter::Absent),
            // Known without running a program: what is lost is to be put back even where none can be run.
            _ if probe.generation.is_some() && !nft::has_ours(tables) => return Ok(Filter::Absent),
            known => match nft::list(namespace).await {
                Ok(None) => return Ok(Filter::Absent),
                Ok(listing) => listing,
                // It is ours, and not known to be what it was: it is loaded again, and if that fails too it is told.
                Err(error) if known.is_some() => {
                    tracing::warn!(%domain, "{error}");
                    return Ok(Filter::There { listing: None, text: None });
                }
                Err(error) => return Err(error),
            },
        };
        let stands =
            record.filter(|record| listing.as_ref().is_none_or(|text| Some(records::digest(text)) == record.listing));
        let text = stands.and_then(|record| {
            let (text, _) = files::read(&directory.join(records::FILTER)).ok()??;
            (records::digest(&text) == record.text).then_some(text)
        });
        Ok(Filter::There { listing, text })
    }

    /// Notes what the kernel lists for filters that were loaded since the last time, so that they are still known to be
    /// unaltered when others change tables of their own. Listing takes as long as loading, so it is not done then.
    pub async fn note_listings(&self) -> Result<(), SysError> {
        for domain in self.domains_left()? {
            let path = self.domain_dir(&domain).join(records::FILTER_LOADED);
            let record: Option<FilterRecord> = records::read(&path);
            let Some(record) = record.filter(|record| record.listing.is_none()) else { continue };
            let Ok(namespace) = self.namespace(&domain) else { continue };
            let Some(text) = nft::list(&namespace).await? else { continue };
            if self.probe(&domain, &namespace).await?.generation == record.generation {
                records::write(&path, &FilterRecord { listing: Some(records::digest(&text)), ..record })?;
            }
        }
        Ok(())
    }

    /// Asks nftables for its generation in a namespace.
    pub(super) async fn probe(&self, domain: &DomainName, namespace: &Namespace) -> Result<Probe, SysError> {
        let probe = namespace.run_async(nft::probe_here).await.and_then(|probe| probe);
        probe.map_err(|error| SysError::io(format!("look into the namespace {domain}"), error))
    }

    /// Another run directory whose table the host has. One that nobody marked counts as ours that was altered.
    pub(super) fn other_in_host(&self, tables: &[Table]) -> Option<PathBuf> {
        let comment = &tables.iter().find(|table| table.is_filter())?.comment;
        let run_dir = run_dir_of_host(comment).map(PathBuf::from);
        run_dir.filter(|_| !self.is_our_comment(&Layout::host(), comment))
    }

    /// Refuses to go on in the host if it has the table of another run directory by now.
    pub(super) async fn refuse_others(&self, domain: &DomainName, namespace: &Namespace) -> Result<(), SysError> {
        if !domain.is_host() {
            return Ok(());
        }
        let tables = namespace.run_async(nft::tables_here).await.and_then(|tables| tables);
        let tables = tables.map_err(|error| SysError::io("read the tables of host", error))?;
        match self.other_in_host(&tables) {
            Some(run_dir) => Err(SysError::HostTaken { run_dir }),
            None => Ok(()),
        }
    }

    pub(super) fn whose(&self, domain: &DomainName, probe: Probe, filter: &Filter) -> NamespaceState {
        if domain.is_host() {
            return NamespaceState::Ours;
        }
        let published: Option<NamespaceRecord> = records::read(&self.domain_dir(domain).join(records::NAMESPACE));
        if published == Some(self.namespace_record(probe)) {
            return NamespaceState::Ours;
        }
        match filter {
            Filter::Absent => NamespaceState::Foreign("it has no table inet rdsup".to_owned()),
            Filter::There { listing: None, .. } => NamespaceState::Ours,
            Filter::There { listing: Some(listing), .. } => {
                let comment =
                    listing.lines().find_map(|line| line.trim().strip_prefix("comment \"")?.strip_suffix('"'));
                match comment {
                    Some(comment) if self.is_our_comment(domain, comment) => NamespaceState::Ours,
                    Some(comment) => NamespaceState::Foreign(format!("its table inet rdsup is marked {comment:?}")),
                    None => NamespaceState::Foreign("its table inet rdsup is not marked".to_owned()),
                }
            }
        }
    }

    /// Whether a table with this comment was made for the domain from this run directory.
    fn is_our_comment(&self, domain: &DomainName, comment: &str) -> bool {
        let mark = table_comment(&self.layout.run_dir, domain);
        comment.split_once(&mark).is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with(' '))
    }

    /// Which of a namespace's tables are ours and stacked on the filter. The name alone makes none ours.
    pub(super) fn stacked_in(&self, domain: &DomainName, tables: Vec<Table>) -> BTreeSet<String> {
        let stacked = |table: &Table| table.name.starts_with(STACKED) && self.is_our_comment(domain, &table.comment);
        tables.into_iter().filter(stacked).map(|table| table.name).collect()
    }

    pub(super) fn namespace_record(&self, probe: Probe) -> NamespaceRecord {
        NamespaceRecord { boot_id: self.boot_id.clone(), cookie: probe.cookie }
    }

    /// Whether a domain's namespace is the very one that was published under its name; an answer without a program and
    /// outside asynchronous code. [`Self::namespace_state`] is the one that also knows a namespace whose note is lost.
    pub fn is_published(&self, domain: &DomainName) -> Result<bool, SysError> {
        let Some(namespace) = self.named(domain)? else { return Ok(false) };
        let probe = namespace
            .run(nft::probe_here)
            .and_then(|probe| probe)
            .map_err(|error| SysError::io(format!("look into the namespace {domain}"), error))?;
        let published: Option<NamespaceRecord> = records::read(&self.domain_dir(domain).join(records::NAMESPACE));
        Ok(published == Some(self.namespace_record(probe)))
    }

    /// Finds domains of ours by the mark of their filter where their directory was removed, and makes it again: by that they
    /// are found from now on. Answers with them.
    pub async fn find_lost_domains(&self) -> Result<Vec<DomainName>, SysError> {
        let known = self.domains_left()?;
        let names = files::list(Path::new(netns::DIRECTORY))
            .map_err(|error| SysError::path("read", Path::new(netns::DIRECTORY), error))?;
        let names = names.iter().filter_map(|path| DomainName::new(path.file_name()?.to_str()?).ok());
        let mut found = Vec::new();
        for domain in names.filter(|name| !known.contains(name)) {
            if !matches!(self.namespace_state(&domain).await, Ok(NamespaceState::Ours)) {
                continue;
            }
            let directory = self.domain_dir(&domain);
            let make = || files::make_directory(&directory, 0o755, Owners::of_machine().ids(FileOwner::Root));
            make().map_err(|error| SysError::path("make", &directory, error))?;
            tracing::warn!(%domain, "its run directory was gone, its namespace was not");
            found.push(domain);
        }
        Ok(found)
    }

    /// The same for whoever may not look into namespaces: to them any namespace of that name is the one.
    pub fn stands(&self, domain: &DomainName) -> bool {
        self.is_published(domain).unwrap_or_else(|_| matches!(self.named(domain), Ok(Some(_))))
    }

    /// Whether a domain's namespace is there and ours, without reading more than that.
    pub async fn namespace_state(&self, domain: &DomainName) -> Result<NamespaceState, SysError> {
        let Some(namespace) = self.named(domain)? else { return Ok(NamespaceState::Absent) };
        let visited = namespace.clone();
        let (probe, tables) = blocking(move || visited.run(|| (nft::probe_here(), nft::tables_here())))
            .await
            .and_then(|(probe, tables)| Ok((probe?, tables?)))
            .map_err(|error| SysError::io(format!("look into the namespace {domain}"), error))?;
        if let Some(run_dir) = self.other_in_host(&tables).filter(|_| domain.is_host()) {
            return Ok(NamespaceState::Foreign(run_dir.display().to_string()));
        }
        let filter = self.filter_of(domain, &namespace, probe, &tables).await?;
        Ok(self.whose(domain, probe, &filter))
    }
}

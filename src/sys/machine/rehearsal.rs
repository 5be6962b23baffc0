//! Filters tried for real before anything is touched: each in a new namespace that nobody sees.
//!
//! For a domain that is not there yet this is a better check than `nft -c`, and no work is lost by it: the namespace
//! becomes the domain's. If the file turns out to be wrong elsewhere, the namespaces vanish with the last reference.

use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::{Machine, blocking};
use crate::model::DomainName;
use crate::sys::netns::Namespace;
use crate::sys::{SysError, nft};

/// How many filters are loaded at the same time: three quarters of loading is waiting for the kernel (RCU).
const AT_ONCE: usize = 24;

impl Machine {
    /// Loads each domain's filter into a new namespace. Answers with those that the kernel or `nft` refused.
    pub async fn rehearse(&self, filters: Vec<(DomainName, Arc<str>)>) -> Vec<(DomainName, SysError)> {
        stream::iter(filters.into_iter().map(|(domain, text)| self.rehearse_one(domain, text)))
            .buffer_unordered(AT_ONCE)
            .filter_map(|result| async { result.err() })
            .collect()
            .await
    }

    async fn rehearse_one(&self, domain: DomainName, text: Arc<str>) -> Result<(), (DomainName, SysError)> {
        let loaded = async {
            let made = blocking(Namespace::create).await;
            let made = made.map_err(|error| SysError::io("make a network namespace", error))?;
            nft::load(&made, &text).await?;
            Ok(made)
        };
        match loaded.await {
            Ok(namespace) => {
                self.held().rehearsed.insert(domain, (namespace, text.to_string()));
                Ok(())
            }
            Err(error) => Err((domain, error)),
        }
    }

    /// Lets the namespaces go that were made and not needed.
    pub fn forget_rehearsal(&self) {
        self.held().rehearsed.clear();
    }

    /// The namespace in which the domain's filter was rehearsed, if it was.
    pub(super) fn take_rehearsed(&self, domain: &DomainName) -> Option<Namespace> {
        let mut held = self.held();
        let (namespace, text) = held.rehearsed.remove(domain)?;
        held.loaded.insert(domain.clone(), text);
        Some(namespace)
    }

    /// Whether the domain's namespace, which has no name yet, has this filter already.
    pub(super) fn has_rehearsed(&self, domain: &DomainName, text: &str) -> bool {
        self.held().loaded.remove(domain).is_some_and(|loaded| loaded == text)
    }
}

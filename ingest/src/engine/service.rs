//! How a workspace serves its customers, as the engine knows it: settings by kind, the newest version of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::event::Event;
use schemas::service::{ServiceSetting, VersionedSetting};

use super::decide::{Decider, Ruling};

/// The settings of a workspace's service.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Service {
    settings: BTreeMap<&'static str, VersionedSetting>,
}

impl Service {
    /// Takes a setting over in place of the one of its kind.
    pub(super) fn put(&mut self, setting: VersionedSetting) {
        self.settings.insert(setting.setting.kind(), setting);
    }

    /// The settings by the names of their kinds.
    pub(super) fn settings(&self) -> impl Iterator<Item = (&'static str, &VersionedSetting)> {
        self.settings.iter().map(|(kind, setting)| (*kind, setting))
    }

    fn knows(&self, kind: &str, version: u64) -> bool {
        self.settings.get(kind).is_some_and(|known| known.version >= version)
    }
}

impl Decider<'_> {
    pub(super) fn configure_service(&mut self, setting: &ServiceSetting, version: u64) -> Ruling {
        if self.view.service()?.knows(setting.kind(), version) {
            return Ok(());
        }
        Ok(self.emit(Event::ServiceConfigured { setting: Box::new(setting.clone()), version })?)
    }
}

/// The service with a setting that was changed.
pub(super) fn with(service: &Arc<Service>, setting: &ServiceSetting, version: u64) -> Arc<Service> {
    let mut service = Service::clone(service);
    service.put(VersionedSetting { version, setting: setting.clone() });
    Arc::new(service)
}

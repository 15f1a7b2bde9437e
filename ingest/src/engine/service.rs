//! How a workspace serves its customers, as the engine knows it: settings by kind, the newest version of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::calendar::Calendar;
use schemas::event::Event;
use schemas::service::{ServiceSetting, VersionedSetting};
use schemas::sla::SlaPolicy;

use super::decide::{Decider, Ruling};

/// The settings of a workspace's service.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Service {
    settings: BTreeMap<&'static str, VersionedSetting>,
    /// The calendar of the hours; follows from them.
    calendar: Option<Calendar>,
}

impl Service {
    /// Takes a setting over in place of the one of its kind.
    pub(super) fn put(&mut self, setting: VersionedSetting) {
        if let ServiceSetting::Hours { .. } = setting.setting {
            self.calendar = setting.setting.calendar();
        }
        self.settings.insert(setting.setting.kind(), setting);
    }

    /// The business hours, if there are any.
    pub(super) const fn calendar(&self) -> Option<&Calendar> {
        self.calendar.as_ref()
    }

    /// The policies of service levels, in the order in which they are looked through.
    pub(super) fn policies(&self) -> &[SlaPolicy] {
        match self.settings.get("sla").map(|known| &known.setting) {
            Some(ServiceSetting::Sla { policies }) => policies,
            _ => &[],
        }
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

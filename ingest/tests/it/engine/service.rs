//! Settings of the service: the newest version of each kind counts, and is told once.

use schemas::command::{Actor, Command};
use schemas::event::Event;
use schemas::hours::{BusinessHours, BusinessPeriod, Weekday};
use schemas::service::{ServiceSetting, VersionedSetting};
use schemas::tables as t;
use storage::tables::{Scan, Tables};

use super::hub::Hub;

fn hours(opens: &str) -> ServiceSetting {
    let period = BusinessPeriod { weekday: Weekday::Sunday, opens: opens.to_owned(), closes: "17:00".to_owned() };
    let hours = Some(BusinessHours { periods: vec![period], holidays: Vec::new() });
    ServiceSetting::Hours { time_zone: "Asia/Amman".to_owned(), hours }
}

async fn configure(hub: &Hub, setting: ServiceSetting, version: u64) {
    hub.append(Actor::System, Command::ConfigureService { setting: Box::new(setting), version }).await;
}

#[tokio::test]
async fn an_old_setting_never_overwrites_a_newer_one_and_a_restart_knows_which_is_new() {
    let hub = Hub::new().await;
    configure(&hub, hours("09:00"), 1).await;
    configure(&hub, hours("10:00"), 2).await;
    configure(&hub, hours("09:00"), 1).await;
    hub.settle().await;
    // Another engine takes over, which knows only what stands in rows.
    configure(&hub, hours("10:00"), 2).await;
    configure(&hub, hours("11:00"), 3).await;
    hub.settle().await;
    let told = hub.events().await.into_iter().filter_map(|record| match record.event {
        Event::ServiceConfigured { setting, version } => Some((*setting, version)),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [(hours("09:00"), 1), (hours("10:00"), 2), (hours("11:00"), 3)]);
    let rows = hub.tables.scan(t::ENGINE_SERVICE, Scan::of([hub.workspace.into()], 10)).await.unwrap();
    let kept: Vec<VersionedSetting> = rows.iter().map(|row| row.body(t::ENGINE_SERVICE).unwrap()).collect();
    assert_eq!(kept, [VersionedSetting { version: 3, setting: hours("11:00") }]);
}

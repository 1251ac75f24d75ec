mod bodies;
mod limits;
mod packs;
mod properties;
mod routes;
mod shapes;

use std::sync::LazyLock;

use super::{invariants::NOW_MS, *};

static SENSOR: LazyLock<DeviceId> = LazyLock::new(|| DeviceId::new("sensor_1").unwrap());

/// Routes from the text of `[[route]]` tables.
fn routes(toml: &str) -> Result<Routes, RouteError> {
    #[derive(serde::Deserialize)]
    struct File {
        route: Vec<RouteConfig>,
    }
    Routes::compile(&toml::from_str::<File>(toml).unwrap().route)
}

/// What sensor_1 gets for `payload` on `topic`; the invariants hold for it too.
fn normalise<'a>(routes: &'a Routes, topic: &'a str, payload: &'a [u8]) -> Result<Message<'a>, Reject> {
    let input =
        Input { device: &SENSOR, topic, payload, content_type: None, ts_gw: NOW_MS, known: Known::default() };
    invariants::check(routes, &input).unwrap();
    routes.normalise(&input)
}

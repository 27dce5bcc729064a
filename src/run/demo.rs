//! `demo`: the same exporter over a sample cluster that walks through the guide's failures.

use super::{
    Failure,
    publisher::{Look, Publisher},
    serve::{guard_without_reviews, listen_on, load_tls},
    serving::serve_until_told,
};
use crate::{args::Demo, http, observe::demo};

pub(super) async fn demo(arguments: Demo) -> Result<(), Failure> {
    let Demo { interval, scene, listen, runbooks, page, .. } = arguments;
    let tls = load_tls(&listen)?;
    let mut publisher = Publisher::new(runbooks.links(), page.hpa_series, tls.as_deref());
    let scenes = demo::chosen(&scene);
    let listener = listen_on(&listen)?;
    let server = http::Server { site: publisher.site(), guard: guard_without_reviews(tls.as_deref()), tls };
    let show = move |index: usize| {
        let scene = &scenes[index % scenes.len()];
        tracing::info!(scene = %format!("{} of {}", index % scenes.len() + 1, scenes.len()), "{}", scene.title);
        Look::of(scene.snapshot(jiff::Timestamp::now()))
    };
    // The first scene stands before anybody can ask.
    publisher.publish(&show(0))?;
    let showing = async move {
        for index in 1.. {
            tokio::time::sleep(interval).await;
            publisher = publisher.publish_aside(show(index)).await?;
        }
        Ok(())
    };
    serve_until_told(listener, server, showing).await
}

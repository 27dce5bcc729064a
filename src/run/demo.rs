//! `demo`: the same exporter over a sample cluster that walks through the guide's failures.

use super::{
    Failure,
    publisher::Publisher,
    serve::{listen_on, serve_site},
};
use crate::{args::Demo, observe::demo};

pub(super) async fn demo(arguments: Demo) -> Result<(), Failure> {
    let Demo { interval, scene, listen, runbooks, .. } = arguments;
    let mut publisher = Publisher::new(runbooks.runbook_url);
    let scenes = demo::chosen(&scene);
    let listener = listen_on(&listen).await?;
    let site = publisher.site();
    let mut show = move |index: usize| {
        let scene = &scenes[index % scenes.len()];
        tracing::info!(scene = %format!("{} of {}", index % scenes.len() + 1, scenes.len()), "{}", scene.title);
        publisher.publish(&scene.snapshot(jiff::Timestamp::now()), None, &[])
    };
    // The first scene stands before anybody can ask.
    show(0)?;
    let showing = async move {
        for index in 1.. {
            tokio::time::sleep(interval).await;
            show(index)?;
        }
        Ok(())
    };
    serve_site(listener, site, showing).await
}

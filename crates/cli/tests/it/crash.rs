use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;

use crate::{
    harness::{Folder, TestServer, client, direct, doctor},
    media,
};

/// kill -9 at random moments under load: every 201 is there whole, every lost answer is whole or absent, and doctor is
/// content each time. `REELHOUSE_TEST_KILLS` sets the rounds.
#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_upload_is_lost_by_kill_9() {
    let kills: u32 =
        std::env::var("REELHOUSE_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(12);
    let files = [media::mp4(), media::mp3(), media::png()];
    let root = tempfile::TempDir::new().unwrap();
    let mut dir = Folder::Lent(root.path().to_owned());
    // id to size, as acknowledged; and the ids whose delete was sent.
    let alive: Arc<Mutex<BTreeMap<String, u64>>> = Arc::default();
    let mut random = 0x9E37_79B9_7F4A_7C15_u64 ^ u64::from(std::process::id());

    for round in 0..kills {
        let server = TestServer::start_in(dir, &[]);
        let acknowledged = alive.lock().unwrap().clone();
        assert_all_whole(&server, acknowledged).await;
        let load: Vec<_> = (0..6)
            .map(|worker| {
                let (url, file, alive) =
                    (server.url.clone(), files[worker % files.len()].clone(), alive.clone());
                tokio::spawn(async move {
                    loop {
                        let request = client()
                            .post(format!("{url}/v1.3/assets"))
                            .header("x-api-key", crate::harness::KEY);
                        let Ok(response) =
                            request.multipart(direct(&file).text("enable_hls", "true")).send().await
                        else {
                            return;
                        };
                        let acknowledged = response.status() == 201;
                        let Ok(asset) = response.json::<Value>().await else { return };
                        assert!(acknowledged, "{asset}");
                        let id = asset["_id"].as_str().unwrap().to_owned();
                        alive.lock().unwrap().insert(id.clone(), asset["size"].as_u64().unwrap());
                        if worker == 0 {
                            // From the moment it is sent, nothing is promised of this asset but its wholeness.
                            alive.lock().unwrap().remove(&id);
                            let request = client().delete(format!("{url}/v1.3/assets/{id}"));
                            if request.header("x-api-key", crate::harness::KEY).send().await.is_err() {
                                return;
                            }
                        }
                    }
                })
            })
            .collect();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        tokio::time::sleep(Duration::from_millis(50 + (random >> 33) % 900)).await;
        dir = server.kill();
        for worker in load {
            worker.await.unwrap();
        }
        let before = doctor(dir.path());
        assert!(
            before.status.success(),
            "round {round}, before the restart: {}",
            String::from_utf8_lossy(&before.stdout)
        );
    }
    let server = TestServer::start_in(dir, &[]);
    let acknowledged = alive.lock().unwrap().clone();
    assert_all_whole(&server, acknowledged).await;
    assert!(!alive.lock().unwrap().is_empty());
}

async fn assert_all_whole(server: &TestServer, alive: BTreeMap<String, u64>) {
    server.assert_healthy();
    for (id, size) in alive {
        let asset: Value =
            server.get(&format!("/v1.3/assets/{id}")).send().await.unwrap().json().await.unwrap();
        assert_eq!(
            (asset["status"].as_str(), asset["size"].as_u64()),
            (Some("ready"), Some(size)),
            "{asset}"
        );
    }
    // Rows, files and what doctor read agree: an upload whose answer was lost is whole or absent.
    assert_eq!(server.total().await, server.originals() as u64);
}

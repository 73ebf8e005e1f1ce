//! What holds for an account, however many servers it speaks to.

use serde_json::json;
use sqlx::Connection;

use crate::{
    harness::{TestServer, eventually, expect_error, reelhouse},
    postgres::Cluster,
};

/// A form without a file costs as much as one with it; whether it was let in.
async fn is_let_in(server: &TestServer) -> bool {
    let form = reqwest::multipart::Form::new().text("method", "direct");
    let answer = server.post(form).send().await.unwrap();
    let status = answer.status().as_u16();
    if status == 429 {
        assert!(answer.headers().contains_key("retry-after"));
        expect_error(429, "too_many_requests", answer).await;
    }
    status == 400
}

/// What whose shares are, nobody's last.
async fn shares(cluster: &Cluster) -> Vec<i64> {
    let mut rows = sqlx::AnyConnection::connect(&cluster.url).await.unwrap();
    let shares = sqlx::query_scalar("SELECT parts FROM rate_share ORDER BY node = '', parts DESC");
    shares.fetch_all(&mut rows).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_has_one_rate_at_all_servers() {
    sqlx::any::install_default_drivers();
    let cluster = Cluster::start();
    let settings = [("REELHOUSE_RATE_UPLOAD_RPM", "60"), ("REELHOUSE_RATE_UPLOAD_RPD", "0")];
    let servers = [cluster.serve_with(&settings), cluster.serve_with(&settings)];
    let began = std::time::Instant::now();
    let requests = (0..200).map(|n| is_let_in(&servers[n % 2]));
    let let_in = futures_util::future::join_all(requests).await.into_iter().filter(|is| *is).count() as u64;
    // The whole burst, and what came since, one a second; nowhere near twice that.
    let most = 60 + began.elapsed().as_secs() + 1;
    assert!((55..=most).contains(&let_in), "{let_in} of {most}");

    // Both have as much while both are asked.
    eventually("each has half", async || {
        futures_util::future::join_all(servers.iter().map(is_let_in)).await;
        shares(&cluster).await == [500_000, 500_000, 0]
    })
    .await;
    // One that dies leaves its share to the other.
    let [one, other] = servers;
    let _dir = one.kill();
    eventually("the other has all", async || {
        is_let_in(&other).await;
        shares(&cluster).await == [1_000_000, 0]
    })
    .await;
    // And one that ends gives back what it has at once.
    other.stop();
    assert_eq!(shares(&cluster).await, [1_000_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_has_one_quota_at_all_servers_also_for_what_is_arriving() {
    let cluster = Cluster::start();
    let servers = [cluster.serve(), cluster.serve()];
    let quota = (10 << 20).to_string();
    let mut command = reelhouse(servers[0].dir.path());
    command.env("REELHOUSE_DATABASE_URL", &cluster.url);
    assert!(command.args(["accounts", "quota", "default", "--bytes", &quota]).status().unwrap().success());
    let begin = async |n: usize| {
        let body = json!({ "filename": "a.wav", "type": "audio", "total_size": 3 << 20 });
        let answer = servers[n % 2].json("POST", "/v1.3/assets/multipart-uploads", &body).await;
        let is_begun = answer.status() == 201;
        if !is_begun {
            expect_error(403, "usage_limit_exceeded", answer).await;
        }
        is_begun
    };
    let begun = futures_util::future::join_all((0..12).map(begin)).await;
    assert_eq!(begun.iter().filter(|is| **is).count(), 3);
    assert_eq!(servers[0].total().await, 3);
}

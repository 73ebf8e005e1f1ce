use serde_json::Value;

use crate::{
    harness::{TestServer, direct, expect, expect_error},
    media,
};

fn ids(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|asset| asset["_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn pages_are_newest_first_and_end_with_an_empty_one() {
    let server = TestServer::start();
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(server.create(&media::png()).await["_id"].as_str().unwrap().to_owned());
    }
    made.reverse();
    let mut seen = Vec::new();
    for page in 1..=3 {
        let page =
            expect(200, server.get(&format!("/v1.3/assets?page={page}&page_limit=3")).send().await.unwrap())
                .await;
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        assert_eq!(page["page_info"]["total_results"], 7);
        assert_eq!(page["page_info"]["total_page"], 3);
        assert_eq!(page["page_info"]["limit_per_page"], 3);
    }
    assert_eq!(seen, made);
    for beyond in ["4", "1000", "18446744073709551615"] {
        let page = expect(
            200,
            server.get(&format!("/v1.3/assets?page={beyond}&page_limit=3")).send().await.unwrap(),
        )
        .await;
        assert!(ids(&page).is_empty());
    }
    let first = expect(200, server.get("/v1.3/assets").send().await.unwrap()).await;
    assert_eq!(
        (ids(&first).len(), &first["page_info"]["limit_per_page"], &first["page_info"]["page"]),
        (7, &10.into(), &1.into())
    );
}

#[tokio::test]
async fn ids_and_types_filter() {
    let server = TestServer::start();
    let sound = server.create(&media::mp3()).await;
    let picture = server.create(&media::png()).await;
    let film = server.create(&media::mp4()).await;
    let [sound, picture, film] = [&sound, &picture, &film].map(|asset| asset["_id"].as_str().unwrap());
    for (query, expected) in [
        ("asset_types=image".to_owned(), vec![picture]),
        ("asset_types=image&asset_types=video".to_owned(), vec![film, picture]),
        ("asset_types=%5B%22image%22%2C%22audio%22%5D".to_owned(), vec![picture, sound]),
        (format!("asset_ids={sound}"), vec![sound]),
        (format!("asset_ids={sound}&asset_ids={film}"), vec![film, sound]),
        (format!("asset_ids=%5B%22{sound}%22%2C%22{film}%22%5D"), vec![film, sound]),
        (format!("asset_ids={sound}&asset_types=video"), vec![]),
        ("asset_ids=000000000000000000000000".to_owned(), vec![]),
        ("asset_ids=no-id-at-all".to_owned(), vec![]),
        ("asset_ids=%5B%5D&page=1".to_owned(), vec![]),
    ] {
        let page = expect(200, server.get(&format!("/v1.3/assets?{query}")).send().await.unwrap()).await;
        assert_eq!(ids(&page), expected, "{query}");
        assert_eq!(page["page_info"]["total_results"], expected.len(), "{query}");
    }
}

#[tokio::test]
async fn nonsense_is_a_400_that_names_it() {
    let server = TestServer::start();
    for (query, message) in [
        ("page=0", "The page parameter is invalid. \"0\" is not a whole number of at least 1."),
        ("page=-1", "The page parameter is invalid. \"-1\" is not a whole number of at least 1."),
        ("page=abc", "The page parameter is invalid. \"abc\" is not a whole number of at least 1."),
        ("page=", "The page parameter is invalid. \"\" is not a whole number of at least 1."),
        ("page_limit=0", "The page_limit parameter is invalid. \"0\" is not a whole number from 1 to 50."),
        ("page_limit=51", "The page_limit parameter is invalid. \"51\" is not a whole number from 1 to 50."),
        (
            "page_limit=1.5",
            "The page_limit parameter is invalid. \"1.5\" is not a whole number from 1 to 50.",
        ),
        ("asset_types=poem", "The asset_types parameter is invalid. \"poem\" is not video, audio or image."),
        (
            "asset_types=%5B1%5D",
            "The asset_types parameter is invalid. \"[1]\" is not a JSON array of strings.",
        ),
    ] {
        let refused = server.get(&format!("/v1.3/assets?{query}")).send().await.unwrap();
        assert_eq!(expect_error(400, "parameter_invalid", refused).await, message);
    }
}

/// What a list of these query parameters shows.
async fn names(server: &TestServer, query: &str) -> Vec<String> {
    let page = expect(200, server.get(&format!("/v1.3/assets?{query}")).send().await.unwrap()).await;
    let data = page["data"].as_array().unwrap();
    assert_eq!(page["page_info"]["total_results"], data.len(), "{query}");
    data.iter().map(|asset| asset["filename"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn filenames_are_found_by_any_part_in_any_case() {
    let server = TestServer::start();
    for name in
        ["Holiday_2026.MP4", "50% off.png", "Cafe\u{301} Straße.png", "ab", "say \"hi\" AND NOT x*.png"]
    {
        let form = direct(&media::png()).text("filename", name);
        expect(201, server.post(form).send().await.unwrap()).await;
    }
    for (query, expected) in [
        ("filename=holiday", vec!["Holiday_2026.MP4"]),
        ("filename=DAY_20", vec!["Holiday_2026.MP4"]),
        ("filename=day%2520", vec![]),
        // LIKE's wildcards are letters like any other.
        ("filename=%25", vec!["50% off.png"]),
        ("filename=0%25%20off", vec!["50% off.png"]),
        ("filename=0%25+off", vec!["50% off.png"]),
        ("filename=___", vec![]),
        ("filename=y_2", vec!["Holiday_2026.MP4"]),
        // So are the search language's.
        ("filename=%22hi%22+and", vec!["say \"hi\" AND NOT x*.png"]),
        ("filename=x%2A.", vec!["say \"hi\" AND NOT x*.png"]),
        ("filename=%22", vec!["say \"hi\" AND NOT x*.png"]),
        // Composed or not, folded or not.
        ("filename=CAF%C3%89", vec!["Cafe\u{301} Straße.png"]),
        ("filename=cafe%CC%81+strasse", vec!["Cafe\u{301} Straße.png"]),
        // Shorter than the index's pieces.
        ("filename=AB", vec!["ab"]),
        ("filename=b", vec!["ab"]),
        ("filename=%00%00%00", vec![]),
        (
            "filename=",
            vec![
                "say \"hi\" AND NOT x*.png",
                "ab",
                "Cafe\u{301} Straße.png",
                "50% off.png",
                "Holiday_2026.MP4",
            ],
        ),
        // AND between filters.
        ("filename=png&asset_types=video", vec![]),
        (
            "filename=png&asset_types=video&asset_types=image&page_limit=50",
            vec!["say \"hi\" AND NOT x*.png", "Cafe\u{301} Straße.png", "50% off.png"],
        ),
    ] {
        assert_eq!(names(&server, query).await, expected, "{query}");
    }
    let found = expect(200, server.get("/v1.3/assets?filename=holiday").send().await.unwrap()).await;
    let id = found["data"][0]["_id"].as_str().unwrap();
    assert_eq!(names(&server, &format!("filename=2026&asset_ids={id}")).await, ["Holiday_2026.MP4"]);
    server.delete(&format!("/v1.3/assets/{id}")).send().await.unwrap();
    assert_eq!(names(&server, "filename=holiday").await, Vec::<String>::new());
    server.assert_healthy();
}

/// Queries as recorded from twelvelabs-js 1.2.4 and 1.3.4 (they write the same) and twelvelabs 1.3.6 for Python; only the
/// ids are put in. The same rows, whichever way they are written.
#[tokio::test]
async fn both_sdks_encodings_mean_the_same() {
    let server = TestServer::start();
    let mut made = Vec::new();
    for (path, name) in
        [(media::mp3(), "a song.mp3"), (media::png(), "Ünï & co 50%_\".png"), (media::mp4(), "a film.mp4")]
    {
        let created =
            expect(201, server.post(direct(&path).text("filename", name)).send().await.unwrap()).await;
        made.push(created["_id"].as_str().unwrap().to_owned());
    }
    let [song, picture, film] = [0, 1, 2].map(|n| made[n].as_str());
    let two_ids = format!("asset_ids={song}&asset_ids={film}");
    for (node, python, expected) in [
        ("", "page=1", vec![film, picture, song]),
        ("page=1&page_limit=2", "page=1&page_limit=2", vec![film, picture]),
        ("page=2&page_limit=50", "page=2&page_limit=50", vec![]),
        (
            "asset_types=image&asset_types=video",
            "page=1&asset_types=image&asset_types=video",
            vec![film, picture],
        ),
        ("asset_types=audio", "page=1&asset_types=audio", vec![song]),
        ("filename=a%20song", "page=1&filename=a+song", vec![song]),
        ("filename=%C3%9Cn%C3%AF%20%26%20co", "page=1&filename=%C3%9Cn%C3%AF+%26+co", vec![picture]),
        ("filename=50%25_%22", "page=1&filename=50%25_%22", vec![picture]),
        (&two_ids, &format!("page=1&{two_ids}"), vec![film, song]),
    ] {
        for query in [node, python] {
            let page = expect(200, server.get(&format!("/v1.3/assets?{query}")).send().await.unwrap()).await;
            assert_eq!(ids(&page), expected, "{query}");
        }
    }
}

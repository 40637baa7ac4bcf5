use std::fs;

use crate::*;

/// A status, its headers, and what is told of it.
type Refused = (u16, &'static [(&'static str, &'static str)], &'static [&'static str]);

/// The bytes of an answer that a cut lets through.
const CUT: usize = 1000;

fn status(status: u16) -> Instead {
    Instead::Status(status, Vec::new())
}

#[test]
fn the_token_goes_to_the_hub_and_to_nobody_else() {
    let stage = Stage::honest();
    stage.obtain(None).unwrap();
    let seen = stage.server.seen();
    assert!(seen.iter().any(is_download));
    for request in seen {
        let expected = (request.host == Host::Hub).then(|| format!("Bearer {TOKEN}"));
        assert_eq!(request.authorization, expected, "{request:?}");
    }
}

#[test]
fn a_download_that_is_cut_off_goes_on_where_it_broke() {
    let stage = Stage::new(|seen| {
        (is_download(seen) && seen.earlier < 2).then_some(Instead::CutAfter(CUT))
    });
    stage.obtain(None).unwrap();
    assert_eq!(fs::read(stage.weights_link()).unwrap(), weights());
    let ranges: Vec<_> = stage.server.downloads().into_iter().map(|seen| seen.range).collect();
    let from = |bytes: usize| Some(format!("bytes={bytes}-"));
    assert_eq!(ranges, [None, from(CUT), from(2 * CUT)]);
}

#[test]
fn an_attempt_that_brings_something_does_not_use_up_the_attempts() {
    let stage = Stage::new(|seen| {
        (is_download(seen) && seen.earlier < 12).then_some(Instead::CutAfter(CUT))
    });
    stage.obtain(None).unwrap();
    assert_eq!(fs::read(stage.weights_link()).unwrap(), weights());
    // One that brings nothing does.
    let stage = Stage::new(|seen| is_download(seen).then_some(Instead::CutAfter(0)));
    let refusal = stage.refusal(None);
    assert!(refusal.contains("cannot reach") && refusal.contains("model.path"), "{refusal}");
    assert_eq!(stage.server.downloads().len(), 5);
    assert!(!is_there(&stage.weights_link()));
}

#[test]
fn a_server_without_ranges_is_read_from_the_start() {
    let stage = Stage::new(|seen| {
        let cut = is_download(seen) && seen.earlier == 0;
        if cut {
            Some(Instead::CutAfter(CUT))
        } else {
            is_download(seen).then_some(Instead::NoRange)
        }
    });
    stage.obtain(None).unwrap();
    assert_eq!(fs::read(stage.weights_link()).unwrap(), weights());
}

#[test]
fn what_an_ended_process_left_is_gone_on_with_and_what_is_false_is_fetched_anew() {
    let (content, etag) = (weights(), sha256(&weights()));
    let half = content.len() / 2;
    let leave = |left: &[u8]| {
        let stage = Stage::honest();
        fs::create_dir_all(stage.blobs()).unwrap();
        fs::write(stage.blobs().join(format!("{etag}.incomplete")), left).unwrap();
        stage.obtain(None).unwrap();
        assert_eq!(fs::read(stage.weights_link()).unwrap(), content);
        stage.server.downloads().into_iter().map(|seen| seen.range).collect::<Vec<_>>()
    };
    assert_eq!(leave(&content[..half]), [Some(format!("bytes={half}-"))]);
    assert_eq!(leave(&content), [None::<String>; 0], "all of it was there");
    assert_eq!(leave(&vec![7; half]), [Some(format!("bytes={half}-")), None]);
    assert_eq!(leave(&vec![7; content.len()]), [None]);
    assert_eq!(leave(&vec![7; content.len() + 1]), [None]);
}

#[test]
fn content_with_another_hash_is_never_used() {
    let mut forged = weights();
    *forged.last_mut().unwrap() ^= 1;
    let stage = Stage::new(move |seen| {
        (is_download(seen) && seen.earlier == 0).then(|| Instead::Content(forged.clone()))
    });
    let refusal = stage.refusal(None);
    assert!(refusal.contains(WEIGHTS) && refusal.contains("SHA-256"), "{refusal}");
    assert!(refusal.contains(&sha256(&weights())), "{refusal}");
    assert!(!is_there(&stage.weights_link()));
    let blobs: Vec<_> =
        fs::read_dir(stage.blobs()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!blobs.iter().any(|name| name.to_str().unwrap().starts_with(&sha256(&weights()))));
    // Nothing of it is in the way of the next attempt.
    stage.obtain(None).unwrap();
    assert_eq!(fs::read(stage.weights_link()).unwrap(), weights());
}

#[test]
fn longer_content_is_never_used() {
    let longer = [weights(), b"more".to_vec()].concat();
    let stage = Stage::new(move |seen| is_download(seen).then(|| Instead::Content(longer.clone())));
    let refusal = stage.refusal(None);
    assert!(refusal.contains("a length of"), "{refusal}");
    assert!(!is_there(&stage.weights_link()));
}

#[test]
fn each_refusal_says_what_it_means_and_is_not_repeated() {
    let cases: [Refused; 7] = [
        (401, &[], &["does not let this token read org/tiny", "HF_TOKEN"]),
        (401, &[("X-Error-Code", "GatedRepo")], &["org/tiny is gated", "ask for access"]),
        (403, &[], &["org/tiny is gated", "ask for access"]),
        (404, &[], &["knows no model org/tiny with a revision main", "model.revision"]),
        (429, &[("Retry-After", "3600")], &["wait 3600 s", "model.path"]),
        (418, &[], &["418", "HF_ENDPOINT"]),
        (302, &[], &["redirect to nowhere", "HF_ENDPOINT"]),
    ];
    for (code, headers, told) in cases {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
        let stage = Stage::new(move |_| Some(Instead::Status(code, headers.clone())));
        let refusal = stage.refusal(None);
        for part in told {
            assert!(refusal.contains(part), "{code}: {part} is not in {refusal}");
        }
        assert_eq!(stage.server.seen().len(), 1, "{code} is not asked again");
        assert!(!refusal.contains(TOKEN), "{refusal}");
    }
    let stage = Stage::new(|_| Some(status(401)));
    let hub = Hub::new(Settings { token: None, ..stage.settings() });
    let refusal = hub.obtain(&ModelId::new(ID).unwrap(), None, &Unseen).unwrap_err().to_string();
    assert!(refusal.contains("anybody without a token"), "{refusal}");
}

#[test]
fn what_may_pass_is_tried_again() {
    let busy = || Instead::Status(429, vec![("Retry-After", "0".to_owned())]);
    let faults: [fn() -> Instead; 3] = [busy, || status(503), || status(500)];
    for fault in [faults[0], faults[1], faults[2]] {
        // Each request fails once.
        let stage = Stage::new(move |seen| (seen.earlier == 0).then(fault));
        stage.obtain(None).unwrap();
        assert_eq!(fs::read(stage.weights_link()).unwrap(), weights());
    }
    let stage = Stage::new(|_| Some(status(503)));
    let refusal = stage.refusal(None);
    assert!(refusal.contains("503") && refusal.contains("model.path"), "{refusal}");
    assert_eq!(stage.server.seen().len(), 5);
}

#[test]
fn a_hub_that_does_not_answer_leaves_what_is_in_the_cache() {
    let stage = Stage::new(|seen| {
        (seen.earlier > 0 && seen.path.contains("/revision/")).then(|| status(503))
    });
    let first = stage.obtain(None).unwrap();
    assert_eq!(stage.obtain(None).unwrap(), first);
    // One that answers that there is no such model is believed.
    let stage = Stage::new(|seen| (seen.earlier > 0).then(|| status(404)));
    stage.obtain(None).unwrap();
    assert!(stage.refusal(None).contains("knows no model"));
}

#[test]
fn nobody_there_is_told_at_once_with_what_to_do() {
    let stage = Stage::honest();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = Endpoint::new(&format!("http://{free}")).unwrap();
    let hub = Hub::new(Settings { endpoint, ..stage.settings() });
    let refusal = hub.obtain(&ModelId::new(ID).unwrap(), None, &Unseen).unwrap_err().to_string();
    for part in [&free.to_string(), "HF_ENDPOINT", "model pull", "model.path"] {
        assert!(refusal.contains(part), "{refusal}");
    }
}

#[test]
fn redirects_in_a_circle_end() {
    let stage =
        Stage::new(|seen| Some(Instead::Status(302, vec![("Location", seen.path.clone())])));
    assert!(stage.refusal(None).contains("redirects"));
    assert!(stage.server.seen().len() < 10);
}

#[test]
fn a_model_without_safetensors_is_refused_before_anything_is_fetched() {
    let files = tiny().into_iter().filter(|(name, _)| name != WEIGHTS).collect();
    let stage = Stage::serving(files, |_| None);
    let refusal = stage.refusal(None);
    assert!(
        refusal.contains("has no model.safetensors") && refusal.contains("pickled"),
        "{refusal}"
    );
    assert_eq!(stage.server.seen().len(), 1);
}

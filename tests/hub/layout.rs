use std::fs;
use std::path::Path;

use crate::*;

#[test]
fn a_model_is_fetched_into_the_layout_that_all_tools_share() {
    let stage = Stage::honest();
    let snapshot = stage.obtain(None).unwrap();
    assert_eq!((snapshot.commit.as_str(), snapshot.id.as_str()), (COMMIT, ID));
    let folder = stage.cache.path().join("models--org--tiny");
    assert_eq!(snapshot.directory, folder.join("snapshots").join(COMMIT));
    assert_eq!(fs::read_to_string(folder.join("refs/main")).unwrap(), COMMIT);
    for (name, content) in tiny() {
        let path = snapshot.directory.join(&name);
        if name == "pytorch_model.bin" {
            assert!(!is_there(&path), "pickled weights are never fetched");
            continue;
        }
        assert_eq!(fs::read(&path).unwrap(), content, "{name}");
        let etag = if name == WEIGHTS { sha256(&content) } else { git_hash(&content) };
        assert_eq!(fs::read_link(&path).unwrap().to_str().unwrap(), format!("../../blobs/{etag}"));
    }
    let is_whole = |entry: fs::DirEntry| !entry.file_name().to_str().unwrap().contains('.');
    assert!(fs::read_dir(stage.blobs()).unwrap().all(|entry| is_whole(entry.unwrap())));
}

#[test]
fn a_commit_that_is_here_needs_no_network_and_a_branch_is_asked_for() {
    let stage = Stage::honest();
    let first = stage.obtain(None).unwrap();
    let asked = stage.server.seen().len();
    assert_eq!(stage.obtain(Some(COMMIT)).unwrap(), first);
    assert_eq!(stage.server.seen().len(), asked, "nobody was asked");
    assert_eq!(stage.obtain(Some("main")).unwrap(), first);
    let since: Vec<Seen> = stage.server.seen().split_off(asked);
    assert_eq!(since.len(), 1, "only what main is: {since:?}");
    assert_eq!(since[0].path, "/api/models/org/tiny/revision/main");
    // A pull request's reference is one part of the path.
    stage.obtain(Some("refs/pr/1")).unwrap();
    assert!(stage.server.seen().last().unwrap().path.ends_with("/revision/refs%2Fpr%2F1"));
}

#[test]
fn offline_only_the_cache_counts() {
    let stage = Stage::honest();
    let offline = Hub::new(Settings { offline: true, ..stage.settings() });
    let id = ModelId::new(ID).unwrap();
    let error = offline.obtain(&id, None, &Unseen).unwrap_err().to_string();
    for part in ["HF_HUB_OFFLINE", "org/tiny at main", "model pull", "model.path"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(stage.server.seen().is_empty(), "nobody was asked");
    let online = stage.obtain(None).unwrap();
    let asked = stage.server.seen().len();
    for revision in
        [None, Some(Revision::new("main").unwrap()), Some(Revision::new(COMMIT).unwrap())]
    {
        assert_eq!(offline.obtain(&id, revision.as_ref(), &Unseen).unwrap(), online);
    }
    assert_eq!(stage.server.seen().len(), asked, "nobody was asked");
}

#[test]
fn what_another_tool_fetched_is_used_as_it_is() {
    let stage = Stage::honest();
    let folder = stage.cache.path().join("models--org--tiny");
    let snapshot = folder.join("snapshots").join(COMMIT);
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(folder.join("refs")).unwrap();
    fs::write(folder.join("refs/main"), COMMIT).unwrap();
    // Files, not links, as where there are none.
    for (name, content) in tiny() {
        fs::write(snapshot.join(name), content).unwrap();
    }
    assert_eq!(stage.obtain(Some(COMMIT)).unwrap().directory, snapshot);
    assert!(stage.server.seen().is_empty());
    // Half of a model is completed.
    fs::remove_file(snapshot.join(WEIGHTS)).unwrap();
    stage.obtain(Some(COMMIT)).unwrap();
    assert_eq!(fs::read(snapshot.join(WEIGHTS)).unwrap(), weights());
}

#[test]
fn the_folders_of_modules_are_fetched_and_nothing_outside() {
    let modules = br#"[{"path": ""}, {"path": "1_Dense"}, {"path": "../out"}, {"path": "/out"}]"#;
    let mut files = tiny();
    files.push(("modules.json".to_owned(), modules.to_vec()));
    for name in [
        "1_Dense/config.json",
        "1_Dense/model.safetensors",
        "../out/config.json",
        "2_Other/config.json",
    ] {
        files.push((name.to_owned(), name.as_bytes().to_vec()));
    }
    let stage = Stage::serving(files, |_| None);
    let directory = stage.obtain(None).unwrap().directory;
    for name in ["1_Dense/config.json", "1_Dense/model.safetensors"] {
        assert_eq!(fs::read(directory.join(name)).unwrap(), name.as_bytes());
    }
    assert!(!is_there(&directory.join("../out")) && !is_there(&directory.join("2_Other")));
}

#[test]
fn a_copy_stands_alone_and_knows_its_name_until_it_is_changed() {
    let stage = Stage::honest();
    let snapshot = stage.obtain(None).unwrap();
    assert_eq!(Snapshot::of(&snapshot.directory).unwrap(), snapshot);
    let copy = stage.cache.path().join("copy");
    snapshot.copy_to(&copy).unwrap();
    assert!(fs::symlink_metadata(copy.join(WEIGHTS)).unwrap().is_file(), "no link");
    let known = Snapshot::of(&copy).unwrap();
    assert_eq!((known.id, known.commit), (snapshot.id.clone(), snapshot.commit.clone()));
    assert!(snapshot.copy_to(&copy).is_err(), "nothing is overwritten");
    fs::write(copy.join(WEIGHTS), b"trained further").unwrap();
    assert_eq!(Snapshot::of(&copy), None);
}

#[test]
fn a_pinned_hash_holds_for_all_that_decides_a_score() {
    let stage = Stage::honest();
    let directory = stage.obtain(None).unwrap().directory;
    let files = tiny();
    let in_a_row = ["config.json", "tokenizer.json", WEIGHTS]
        .map(|name| files.iter().find(|(file, _)| file == name).unwrap().1.clone());
    let expected = sha256(&in_a_row.concat());
    crossrank::hub::verify(&directory, &expected).unwrap();
    let error = crossrank::hub::verify(&directory, &"0".repeat(64)).unwrap_err().to_string();
    assert!(error.contains("model.sha256") && error.contains(&expected), "{error}");
}

#[test]
fn a_pinned_hash_holds_for_the_weights_of_modules() {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("model/fixtures/tiny-modernbert-modules");
    let folder = tempfile::tempdir().unwrap();
    for path in ["", "1_Pooling", "2_Dense", "3_LayerNorm", "4_Dense"] {
        let (from, to) = (from.join(path), folder.path().join(path));
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_file() {
                fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
    let whole = crossrank::hub::sha256(folder.path()).unwrap();
    let weights = folder.path().join("4_Dense").join(WEIGHTS);
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    assert_ne!(crossrank::hub::sha256(folder.path()).unwrap(), whole);
}

#[test]
fn the_cache_is_listed() {
    let stage = Stage::honest();
    let hub = Hub::new(stage.settings());
    assert_eq!(hub.list().unwrap(), []);
    let snapshot = stage.obtain(None).unwrap();
    let listed = hub.list().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].id, &listed[0].commit), (&snapshot.id, &snapshot.commit));
    assert_eq!(listed[0].references, ["main"]);
    let bytes: usize =
        tiny().iter().filter(|(name, _)| !name.contains(".bin")).map(|(_, c)| c.len()).sum();
    assert_eq!((listed[0].bytes, listed[0].complete), (bytes as u64, true));
    std::fs::remove_file(stage.weights_link()).unwrap();
    assert!(!hub.list().unwrap()[0].complete);
}

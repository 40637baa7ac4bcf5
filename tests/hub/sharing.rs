use std::fs;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use crate::*;

#[test]
fn two_that_start_at_once_share_one_download() {
    // The first to fetch the weights holds on until it is let go.
    let (let_go, held) = mpsc::sync_channel::<()>(0);
    let held = Mutex::new(held);
    let stage = Arc::new(Stage::new(move |seen| {
        if is_download(seen) && seen.earlier == 0 {
            held.lock().unwrap().recv().unwrap();
        }
        None
    }));
    let obtain = |stage: &Arc<Stage>| {
        let stage = Arc::clone(stage);
        thread::spawn(move || stage.obtain(None).unwrap())
    };
    let first = obtain(&stage);
    stage.server.wait_for(1, is_download);
    let second = obtain(&stage);
    // The second knows what to fetch, and finds the first at it.
    stage.server.wait_for(2, |seen| seen.method == "HEAD" && seen.path.ends_with(WEIGHTS));
    let_go.send(()).unwrap();
    assert_eq!(first.join().unwrap(), second.join().unwrap());
    assert_eq!(stage.server.downloads().len(), 1);
    assert_eq!(fs::read(stage.weights_link()).unwrap(), weights());
}

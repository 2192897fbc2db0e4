use std::{
    os::unix::fs::symlink,
    sync::atomic::{AtomicBool, Ordering},
};

use super::*;

#[test]
fn a_write_that_hides_behind_size_and_time_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    fs::write(&path, "one").unwrap();
    let before = Stamp::of([path.clone()]);
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    while Stamp::of([path.clone()]) == before {
        // In place; the grain of the clock of a file system may be some milliseconds.
        fs::write(&path, "two").unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        assert!(modified.elapsed().unwrap().as_secs() < 10, "not noticed");
    }
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), modified);
}

#[test]
fn the_cap_holds_for_what_is_read_not_for_what_was_told() {
    // Says that it is empty.
    let path = Path::new("/proc/self/status");
    assert_eq!(fs::metadata(path).unwrap().len(), 0);
    let unusable = read_whole(path, 10).unwrap_err();
    assert!(unusable.sentence.contains("larger than 10 bytes"), "{}", unusable.sentence);
    assert!(read_whole(path, 1 << 20).is_ok());
}

#[test]
fn a_named_pipe_is_refused_without_waiting_for_a_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, mode, 0).unwrap();
    let (told, hears) = std::sync::mpsc::channel();
    // As when a pipe takes the place of a file between a look and the opening.
    std::thread::spawn(move || {
        let read = open(&path).map(|file| read_opened(file, &path, 10));
        told.send(read.unwrap().unwrap_err().sentence).unwrap();
    });
    let sentence = hears.recv_timeout(std::time::Duration::from_secs(10)).expect("it waits");
    assert!(sentence.contains("not a regular file"), "{sentence}");
}

#[test]
fn a_link_that_is_turned_while_it_is_read_does_not_leave_the_roots() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("plugins");
    fs::create_dir(&dir).unwrap();
    let (inner, outer) = (dir.join("inner"), folder.path().join("outer"));
    fs::write(&inner, "inner").unwrap();
    fs::write(&outer, "secret").unwrap();
    symlink(&inner, dir.join("link")).unwrap();
    let places = Places {
        dir: dir.clone(),
        file_roots: vec![dir.clone()],
        trust: Arc::default(),
        revisions: Revisions::default(),
        given: BTreeMap::default(),
    };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for target in [&outer, &inner] {
                    symlink(target, dir.join("new")).unwrap();
                    fs::rename(dir.join("new"), dir.join("link")).unwrap();
                }
            }
        });
        let (mut read, mut refused) = (0, 0);
        for _ in 0..20_000 {
            match places.file("f", Path::new("link"), 100) {
                Ok(contents) => {
                    if contents != b"inner" {
                        stop.store(true, Ordering::Relaxed);
                        panic!("read outside of the roots");
                    }
                    read += 1;
                }
                Err(_) => refused += 1,
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert!(read > 0 && refused > 0, "{read} {refused}");
    });
}

#[test]
fn what_is_missing_comes_with_the_look_that_missed_it() {
    let folder = tempfile::tempdir().unwrap();
    let places = Places {
        dir: folder.path().to_owned(),
        file_roots: Vec::new(),
        trust: Arc::default(),
        revisions: Revisions::default(),
        given: BTreeMap::default(),
    };
    let Found::Missing(stamp) = places.read("p", &[0; 32], None) else {
        panic!("it is there");
    };
    fs::write(places.wasm("p"), "back").unwrap();
    assert_ne!(stamp.again(), stamp, "what came back in between is not settled");
}

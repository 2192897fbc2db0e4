//! Managed rings over their life: first key, changes, restarts, damage.

use std::fs;

use plugin_host::Aead;

use super::*;

fn sources(algorithm: Aead) -> Sources {
    let fixed = KeyRing::new(Aead::Aes256Gcm, vec![(7, vec![7; 32])]).unwrap();
    let rings = [("devices", KeyRing::managed(algorithm)), ("fixed", fixed)];
    let keys = rings.into_iter().map(|(name, ring)| (name.to_owned(), ring)).collect();
    Sources { keys, ..Sources::default() }
}

fn attached(data_dir: &Path) -> (Rings, KeyRing) {
    let rings = Rings::new(data_dir);
    let mut sources = sources(Aead::Aes256Gcm);
    rings.attach(&mut sources).unwrap();
    (rings, sources.keys["devices"].clone())
}

fn states(ring: &RingInfo) -> Vec<(u32, KeyState)> {
    ring.keys.iter().map(|key| (key.id, key.state)).collect()
}

#[test]
fn a_ring_lives_through_changes_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let (rings, lent) = attached(folder.path());
    assert_eq!(lent.ids(), [1], "made at the first start");
    let first = lent.key_for(None, "x").unwrap();
    let value = Some(Zeroizing::new(vec![9; 32]));
    rings.add("devices", &NewKey { id: Some(5), value }).unwrap();
    assert_eq!(lent.ids(), [1, 5], "what is added only opens");
    rings.rotate("devices", Some(5)).unwrap();
    assert_eq!(lent.ids(), [5, 1]);
    rings.rotate("devices", None).unwrap();
    assert_eq!(lent.ids(), [6, 5, 1]);
    rings.retire("devices", 5).unwrap();
    assert_eq!(lent.ids(), [6, 1]);
    let (rings, lent) = attached(folder.path());
    assert_eq!(lent.ids(), [6, 1]);
    assert_eq!(lent.key_for(Some(1), "x").unwrap(), first);
    let ring = rings.ring("devices").unwrap();
    let expected = [(6, KeyState::Seals), (1, KeyState::Opens), (5, KeyState::Retired)];
    assert_eq!(states(&ring), expected);
    assert!(ring.managed && ring.keys.iter().all(|key| key.created_unix.is_some()));
    let text = fs::read_to_string(folder.path().join("keys/devices.keys")).unwrap();
    assert!(!text.contains("CQkJCQkJ"), "nothing of a retired key is left");
}

/// A reload finds the same ring, so that plugins which were lent it see the next rotation.
#[test]
fn a_reload_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (rings, lent) = attached(folder.path());
    let mut again = sources(Aead::Aes256Gcm);
    rings.attach(&mut again).unwrap();
    assert!(again.keys["devices"] == lent);
    let mut other = sources(Aead::ChaCha20Poly1305);
    let error = rings.attach(&mut other).unwrap_err();
    assert!(error.contains("algorithm"), "{error}");
    rings.rotate("devices", None).unwrap();
    assert_eq!(lent.ids(), [2, 1]);
}

#[test]
fn what_is_refused_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (rings, lent) = attached(folder.path());
    let file = folder.path().join("keys/devices.keys");
    let before = fs::read(&file).unwrap();
    let given = |id, value: Option<Vec<u8>>| {
        let value = value.map(Zeroizing::new);
        rings.add("devices", &NewKey { id, value }).unwrap_err().to_string()
    };
    assert!(given(Some(1), None).contains("allowed: 2 to"));
    assert!(given(Some(0), None).contains("allowed: 2 to"));
    assert!(given(Some(u32::MAX), None).contains("allowed: 2 to"));
    assert!(given(None, Some(vec![1; 31])).contains("31 bytes"));
    assert!(matches!(rings.retire("devices", 1), Err(KeyError::Refused(_))));
    assert!(matches!(rings.retire("devices", 2), Err(KeyError::UnknownKey(2))));
    assert!(matches!(rings.rotate("devices", Some(2)), Err(KeyError::UnknownKey(2))));
    assert!(matches!(rings.rotate("fixed", None), Err(KeyError::Refused(_))));
    assert!(matches!(rings.rotate("none", None), Err(KeyError::UnknownRing(_))));
    assert_eq!((lent.ids(), fs::read(&file).unwrap()), (vec![1], before));
    let twice = Some(Zeroizing::new(vec![3; 32]));
    rings.add("devices", &NewKey { id: None, value: twice }).unwrap();
    assert!(given(None, Some(vec![3; 32])).contains("already"));
    for _ in 2..KEYS_MAX {
        rings.rotate("devices", None).unwrap();
    }
    assert!(given(None, None).contains("retire one first"));
}

/// Not even where it looks like a first start: key 1 would be another one.
#[test]
fn a_ring_whose_file_is_gone_does_not_begin_anew() {
    let folder = tempfile::tempdir().unwrap();
    drop(attached(folder.path()));
    let file = folder.path().join("keys/devices.keys");
    let kept = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let error = Rings::new(folder.path()).attach(&mut sources(Aead::Aes256Gcm)).unwrap_err();
    assert!(error.contains("devices.keys: the keys cannot be used: it is gone"), "{error}");
    assert_eq!(look(folder.path(), &sources(Aead::Aes256Gcm)), [error]);
    let marker = folder.path().join("keys/devices.keys.made");
    // As a broker left it that made no such notes.
    fs::remove_file(&marker).unwrap();
    fs::write(&file, kept).unwrap();
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    drop(attached(folder.path()));
    assert!(marker.exists());
}

/// Neither at the start nor at a reload; and a check says so without writing anything.
#[test]
fn a_damaged_file_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(look(folder.path(), &sources(Aead::Aes256Gcm)), Vec::<String>::new());
    assert!(!folder.path().join("keys").exists());
    drop(attached(folder.path()));
    let file = folder.path().join("keys/devices.keys");
    fs::write(&file, "{}").unwrap();
    let error = Rings::new(folder.path()).attach(&mut sources(Aead::Aes256Gcm)).unwrap_err();
    assert!(error.contains("devices.keys: the keys cannot be used"), "{error}");
    assert_eq!(look(folder.path(), &sources(Aead::Aes256Gcm)), [error]);
}

/// What cannot be kept is not in force.
#[test]
fn a_change_that_cannot_be_kept_does_not_hold() {
    let folder = tempfile::tempdir().unwrap();
    let (rings, lent) = attached(folder.path());
    let away = folder.path().join("away");
    fs::rename(folder.path().join("keys"), &away).unwrap();
    fs::write(folder.path().join("keys"), "a file in the place of the folder").unwrap();
    assert!(matches!(rings.rotate("devices", None), Err(KeyError::NotKept(_))));
    assert_eq!(lent.ids(), [1]);
    assert_eq!(states(&rings.ring("devices").unwrap()), [(1, KeyState::Seals)]);
}

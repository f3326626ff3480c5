use std::time::{Duration, UNIX_EPOCH};

use ringfleet_store::{Group, LaneId, LeaseRef, LeaseToken, MessageId};

use super::{super::entry::Story, *};

fn entry(n: u64) -> Entry {
    Entry {
        lease: LeaseRef { id: MessageId::from_bytes([7; 16]), token: LeaseToken(n) },
        lane: LaneId::try_new("main", "1", Group::Medium).unwrap_or_else(|_| unreachable!()),
        story: Story::Unknown { reason: "timeout".to_owned() },
        at: UNIX_EPOCH + Duration::from_millis(n),
    }
}

#[test]
fn a_dead_workers_file_is_read_and_a_living_ones_is_left_alone() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let (first, left) = Ring::open(dir.path(), "2:a")?;
    assert!(left.is_empty());
    first.write(&[entry(1), entry(2)])?;
    let (second, left) = Ring::open(dir.path(), "2:a")?;
    assert!(left.is_empty(), "the first worker lives");
    second.write(&[entry(3)])?;
    drop(first);
    let (third, left) = Ring::open(dir.path(), "2:a")?;
    assert_eq!(left, [entry(1), entry(2)]);
    third.write(&(10..10 + MOST as u64).map(entry).collect::<Vec<_>>())?;
    drop((second, third));
    let (_own, left) = Ring::open(dir.path(), "2:a")?;
    assert_eq!(left.len(), MOST, "the ring turned once");
    let adopt = |known: &HashMap<FileId, Written>| Ring::adopt(dir.path(), "2:a", known);
    let found = adopt(&HashMap::new())?;
    assert_eq!((found.len(), found[0].2.as_slice()), (1, [entry(3)].as_slice()), "the other dead one's");
    let known = found.into_iter().map(|(id, written, _)| (id, written)).collect();
    assert!(adopt(&known)?.is_empty(), "it says nothing new");
    drop(Ring::open(dir.path(), "2:a")?);
    assert_eq!(adopt(&known)?.len(), 1, "it was used again");
    Ok(())
}

#[test]
fn a_worker_that_begins_while_others_read_a_dead_ones_file_waits_and_takes_it() -> Result<(), Box<dyn std::error::Error>>
{
    let dir = tempfile::tempdir()?;
    Ring::open(dir.path(), "2:a")?.0.write(&[entry(1)])?;
    let reader = File::open(place(dir.path(), 0))?;
    reader.lock_shared()?;
    let reading = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        drop(reader);
    });
    let (_own, left) = Ring::open(dir.path(), "2:a")?;
    assert_eq!(left, [entry(1)]);
    assert!(!place(dir.path(), 1).exists());
    assert!(reading.join().is_ok());
    Ok(())
}

#[test]
fn a_dead_workers_file_is_read_by_all_who_look_at_the_same_time() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    Ring::open(dir.path(), "2:a")?.0.write(&[entry(1)])?;
    let another = File::open(place(dir.path(), 0))?;
    another.lock_shared()?;
    let found = Ring::adopt(dir.path(), "2:a", &HashMap::new())?;
    assert_eq!((found.len(), found[0].2.as_slice()), (1, [entry(1)].as_slice()));
    Ok(())
}

#[test]
fn a_journal_of_another_store_is_refused() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    drop(Ring::open(dir.path(), "2:a")?);
    assert!(matches!(Ring::open(dir.path(), "2:b"), Err(JournalError::OtherStore { .. })));
    Ok(())
}

#[test]
fn another_store_is_refused_wherever_its_journal_lies_and_whoever_holds_it() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let is_refused = || matches!(Ring::open(dir.path(), "2:b"), Err(JournalError::OtherStore { .. }));
    let (first, _) = Ring::open(dir.path(), "2:a")?;
    let (second, _) = Ring::open(dir.path(), "2:a")?;
    assert!(is_refused(), "all are in use");
    drop(first);
    fs::remove_file(place(dir.path(), 0))?;
    assert!(is_refused(), "the first place is free, and the other one in use");
    drop(second);
    assert!(is_refused(), "what was told of is gone, but not all");
    assert!(!place(dir.path(), 0).exists(), "who is refused leaves no file");
    Ring::open(dir.path(), "2:a")?;
    Ok(())
}

#[test]
fn a_look_tells_another_store_beside_living_and_dead_workers_and_leaves_the_folder_as_it_is()
-> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let nowhere = dir.path().join("journal");
    check(&nowhere, "2:a")?;
    assert!(!nowhere.exists());
    let (own, _) = Ring::open(dir.path(), "2:a")?;
    let is_refused = || matches!(check(dir.path(), "2:b"), Err(JournalError::OtherStore { .. }));
    check(dir.path(), "2:a")?;
    assert!(is_refused(), "its worker lives");
    drop(own);
    check(dir.path(), "2:a")?;
    assert!(is_refused(), "its worker is dead");
    assert_eq!(fs::read_dir(dir.path())?.count(), 1);
    Ok(())
}

#[test]
fn another_stores_journal_beside_a_living_worker_is_left_there_and_told_of_once()
-> Result<(), Box<dyn std::error::Error>> {
    let (dir, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let _own = Ring::open(dir.path(), "2:a")?;
    drop(Ring::open(other.path(), "2:b")?);
    fs::copy(place(other.path(), 0), place(dir.path(), 1))?;
    let log = dir.path().join("log");
    let writer = std::sync::Arc::new(File::create(&log)?);
    let _log = tracing::subscriber::set_default(tracing_subscriber::fmt().with_writer(writer).finish());
    for _ in 0..2 {
        assert!(Ring::adopt(dir.path(), "2:a", &HashMap::new())?.is_empty());
    }
    assert!(place(dir.path(), 1).exists());
    let log = fs::read_to_string(log)?;
    assert_eq!(log.matches("ERROR").count(), 1, "{log}");
    assert!(log.contains("worker-1.journal") && log.contains("worker.journal_dir"), "{log}");
    Ok(())
}

#[test]
fn a_journal_whose_beginning_is_damaged_is_moved_aside_and_never_overwritten() -> Result<(), Box<dyn std::error::Error>>
{
    let dir = tempfile::tempdir()?;
    Ring::open(dir.path(), "2:a")?.0.write(&[entry(1)])?;
    File::options().write(true).open(place(dir.path(), 0))?.write_all_at(&[0; 8], 0)?;
    let damaged = fs::read(place(dir.path(), 0))?;
    let found = Ring::adopt(dir.path(), "2:a", &HashMap::new())?;
    assert!(matches!(&found[..], [(_, _, entries)] if entries.is_empty()), "a known one is not said again");
    check(dir.path(), "2:a")?;
    let (own, left) = Ring::open(dir.path(), "2:a")?;
    assert!(left.is_empty());
    own.write(&[entry(2)])?;
    drop(own);
    let (_own, left) = Ring::open(dir.path(), "2:a")?;
    assert_eq!(left, [entry(2)]);
    let mut aside = Vec::new();
    for file in fs::read_dir(dir.path())? {
        let path = file?.path();
        if path.to_string_lossy().contains("worker-0.journal.unreadable-") {
            aside.push(fs::read(path)?);
        }
    }
    assert_eq!(aside, [damaged]);
    assert!(Ring::adopt(dir.path(), "2:a", &HashMap::new())?.is_empty(), "it is passed over");
    Ok(())
}

#[test]
fn a_file_that_was_cut_off_as_it_was_made_is_used_as_if_it_were_new() -> Result<(), Box<dyn std::error::Error>> {
    let torn: [&[u8]; 3] = [b"", &MAGIC[..5], &[0; HEADER + SIZE]];
    for torn in torn {
        let dir = tempfile::tempdir()?;
        fs::write(place(dir.path(), 0), torn)?;
        let (_own, left) = Ring::open(dir.path(), "2:a")?;
        assert!(left.is_empty());
        assert_eq!(fs::read_dir(dir.path())?.count(), 1);
    }
    Ok(())
}

/// As if its worker had not looked for long.
fn looks_next_time(ring: &Ring) -> Result<(), Box<dyn std::error::Error>> {
    ring.held().looked = Instant::now().checked_sub(LOOK_EVERY).ok_or("the machine has just started")?;
    Ok(())
}

#[test]
fn a_journal_that_is_removed_under_its_living_worker_is_put_back_with_all_it_held()
-> Result<(), Box<dyn std::error::Error>> {
    let parent = tempfile::tempdir()?;
    let dir = parent.path().join("journal");
    let (own, _) = Ring::open(&dir, "2:a")?;
    own.write(&[entry(1)])?;
    fs::remove_dir_all(&dir)?;
    looks_next_time(&own)?;
    own.write(&[entry(2)])?;
    own.write(&[entry(3)])?;
    own.sync()?;
    let (_beside, left) = Ring::open(&dir, "2:a")?;
    assert!(left.is_empty(), "its worker lives");
    drop(own);
    let (_next, left) = Ring::open(&dir, "2:a")?;
    assert_eq!(left, [entry(1), entry(2), entry(3)]);
    Ok(())
}

#[test]
fn a_journal_whose_place_another_worker_has_taken_is_put_beside_that_ones() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let (own, _) = Ring::open(dir.path(), "2:a")?;
    own.write(&[entry(1)])?;
    fs::remove_file(place(dir.path(), 0))?;
    let (other, _) = Ring::open(dir.path(), "2:a")?;
    other.write(&[entry(5)])?;
    looks_next_time(&own)?;
    own.write(&[entry(2)])?;
    drop((own, other));
    let found = Ring::adopt(dir.path(), "2:a", &HashMap::new())?;
    let told: Vec<_> = found.into_iter().map(|(_, _, entries)| entries).collect();
    assert_eq!(told, [vec![entry(5)], vec![entry(1), entry(2)]]);
    Ok(())
}

#[test]
fn a_journal_that_cannot_be_put_back_is_an_error_of_each_write_until_it_can() -> Result<(), Box<dyn std::error::Error>>
{
    let parent = tempfile::tempdir()?;
    let dir = parent.path().join("journal");
    let (own, _) = Ring::open(&dir, "2:a")?;
    fs::remove_dir_all(&dir)?;
    fs::write(&dir, "in the way")?;
    looks_next_time(&own)?;
    assert!(own.write(&[entry(1)]).is_err());
    assert!(own.write(&[entry(2)]).is_err());
    fs::remove_file(&dir)?;
    own.write(&[entry(3)])?;
    drop(own);
    let (_next, left) = Ring::open(&dir, "2:a")?;
    assert_eq!(left, [entry(1), entry(2), entry(3)]);
    Ok(())
}

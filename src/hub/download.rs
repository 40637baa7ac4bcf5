use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::cache::Folder;
use super::client::{Client, Failure, Head, Opened};
use super::error::file;
use super::files::hex;
use super::settings::FreeBytes;
use super::{HubError, ModelId, Progress};

const BUFFER_BYTES: usize = 1 << 17;
/// Other things on this disk go on while we fill it.
const SPARE_BYTES: u64 = 64 << 20;

/// One file to be had.
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) head: Head,
}

/// Fetches the files of one commit into the cache.
pub(super) struct Download<'a> {
    pub(super) client: &'a Client,
    pub(super) folder: &'a Folder,
    pub(super) id: &'a ModelId,
    pub(super) commit: &'a str,
    pub(super) progress: &'a dyn Progress,
}

// === impl Download ===

impl Download<'_> {
    /// Asks what these files are.
    pub(super) fn heads(&self, names: Vec<String>) -> Result<Vec<Wanted>, HubError> {
        names.into_iter().map(|name| self.head(name)).collect()
    }

    /// Asks what this file is.
    pub(super) fn head(&self, name: String) -> Result<Wanted, HubError> {
        let head = self.client.head(self.id, self.commit, &name)?;
        Ok(Wanted { name, head })
    }

    /// Checks that what is missing of these files has room on the disk of the cache; `free_bytes` looks there.
    pub(super) fn check_space<'w>(
        &self,
        wanted: impl Iterator<Item = &'w Wanted>,
        cache: &Path,
        free_bytes: FreeBytes,
    ) -> Result<(), HubError> {
        let needed =
            wanted.fold(0, |sum: u64, file| sum.saturating_add(self.missing_bytes(&file.head)));
        if needed == 0 {
            return Ok(());
        }
        fs::create_dir_all(cache).map_err(file("make", cache))?;
        let available = free_bytes(cache).map_err(file("look at the disk of", cache))?;
        match needed.saturating_add(SPARE_BYTES) <= available {
            true => Ok(()),
            false => Err(HubError::NoSpace {
                cache: cache.to_owned(),
                needed_mb: needed.div_ceil(1_000_000),
                available_mb: available / 1_000_000,
            }),
        }
    }

    /// Fetches what is missing, and makes the snapshot's names stand for it, in this order.
    pub(super) fn fetch(&self, wanted: &[Wanted]) -> Result<(), HubError> {
        let missing: u64 = wanted.iter().map(|wanted| self.missing_bytes(&wanted.head)).sum();
        if missing > 0 {
            self.progress.expect(missing);
        }
        for Wanted { name, head } in wanted {
            self.blob(name, head)?;
            self.folder.link(self.commit, name, &head.etag)?;
        }
        Ok(())
    }

    fn missing_bytes(&self, head: &Head) -> u64 {
        let present = match self.has(head) {
            true => head.bytes,
            false => length(&self.folder.incomplete(&head.etag)),
        };
        head.bytes.saturating_sub(present)
    }

    fn has(&self, head: &Head) -> bool {
        let blob = fs::metadata(self.folder.blob(&head.etag));
        blob.is_ok_and(|blob| blob.len() == head.bytes)
    }

    /// Fetches one blob, unless it is there. Of those who want it at the same time, one fetches and the others wait.
    fn blob(&self, name: &str, head: &Head) -> Result<(), HubError> {
        if self.has(head) {
            return Ok(());
        }
        let _alone = self.folder.lock(&head.etag)?;
        if self.has(head) {
            return Ok(());
        }
        let (incomplete, blob) = (self.folder.incomplete(&head.etag), self.folder.blob(&head.etag));
        let resumed = length(&incomplete) > 0;
        let mut proven = self.arrive(name, head, &incomplete);
        if resumed && matches!(proven, Err(HubError::Damaged { .. })) {
            // What an earlier process left behind may be to blame.
            self.progress.expect(head.bytes);
            proven = self.arrive(name, head, &incomplete);
        }
        proven?;
        fs::rename(&incomplete, &blob).map_err(file("rename", incomplete))
    }

    /// Makes the incomplete file whole, and proves that it is.
    fn arrive(&self, name: &str, head: &Head, incomplete: &Path) -> Result<(), HubError> {
        if let Some(folder) = incomplete.parent() {
            fs::create_dir_all(folder).map_err(file("make", folder))?;
        }
        let options =
            File::options().read(true).write(true).create(true).truncate(false).open(incomplete);
        let mut arriving = options.map_err(file("open", incomplete))?;
        self.client.retrying(|progress| {
            self.attempt(name, head, &mut arriving, progress).map_err(|failure| match failure {
                Trouble::Hub(failure) => failure,
                Trouble::Disk(source) => Failure::Final(file("write", incomplete)(source)),
            })
        })?;
        // On the disk before it has its name: a machine that fails now leaves no file that only looks whole.
        arriving.sync_all().map_err(file("write", incomplete))?;
        let damage = damage(&mut arriving, head).map_err(file("read", incomplete))?;
        let Some((what, actual, expected)) = damage else { return Ok(()) };
        fs::remove_file(incomplete).map_err(file("remove", incomplete))?;
        Err(HubError::Damaged { file: name.to_owned(), what, actual, expected })
    }

    /// Reads on from where the file ends, until it is as long as it should be.
    fn attempt(
        &self,
        name: &str,
        head: &Head,
        arriving: &mut File,
        progress: &mut bool,
    ) -> Result<(), Trouble> {
        let present = arriving.metadata()?.len();
        if present == head.bytes {
            return Ok(());
        }
        let offset = if present < head.bytes { present } else { 0 };
        let opened = self.client.open(self.id, self.commit, name, offset);
        let Opened { start, body } = opened.map_err(Trouble::Hub)?;
        // Not the place that was asked for: begin again at one that is known.
        let start = if start <= offset { start } else { 0 };
        arriving.set_len(start)?;
        arriving.seek(SeekFrom::Start(start))?;
        // One byte more than announced is enough to see that it is another file.
        let mut body = body.take(head.bytes + 1 - start);
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut reached = start;
        loop {
            let cut = |error: io::Error| Trouble::Hub(self.client.cut(self.id, error.to_string()));
            let read = body.read(&mut buffer).map_err(cut)?;
            if read == 0 {
                break;
            }
            arriving.write_all(&buffer[..read])?;
            reached += read as u64;
            *progress = true;
            self.progress.advance(read as u64);
        }
        match reached < head.bytes {
            true => Err(Trouble::Hub(self.client.cut(self.id, format!("{name} ends too early")))),
            false => Ok(()),
        }
    }
}

/// Whose fault a failed attempt is.
enum Trouble {
    Hub(Failure),
    Disk(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// How a file that has arrived differs from what was announced: which property, as it is, as it should be.
fn damage(arrived: &mut File, head: &Head) -> io::Result<Option<(&'static str, String, String)>> {
    let bytes = arrived.metadata()?.len();
    if bytes != head.bytes {
        return Ok(Some(("a length of", bytes.to_string(), head.bytes.to_string())));
    }
    // The ETag of a large file is its SHA-256. That of a small one is git's own hash on the hub, but may be
    // anything on a mirror.
    if head.etag.len() != 64 {
        return Ok(None);
    }
    let mut digest = Sha256::new();
    arrived.seek(SeekFrom::Start(0))?;
    io::copy(arrived, &mut digest)?;
    let actual = hex(&digest.finalize());
    Ok((actual != head.etag).then(|| ("SHA-256", actual, head.etag.clone())))
}

/// 0 where there is no such file.
fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

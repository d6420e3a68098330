//! Reads a definition's files.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use crate::domain::definition::check::check;
use crate::domain::definition::node::{
    FieldPath, Mistakes, Node, RawValue, SourceFile, SourcePosition, shortened,
};
use crate::domain::definition::rules::DefinitionSource;
use crate::domain::definition::table::Table;
use crate::domain::definition::{Definition, Mistake, encoding, rules, stores, toml};

const PATH_CHARS_MAX: usize = 1_000;
const TOML_BYTES_MAX: u64 = 4 << 20;
/// Enough for 50,000 stores with the longest allowed texts.
const CSV_BYTES_MAX: u64 = 128 << 20;

impl Definition {
    /// Reads a TOML file and the CSV file of stores that it names, relative to the TOML file's folder.
    ///
    /// # Errors
    ///
    /// Every mistake of both files in the order of their lines: at most 100, then one with the count of the others.
    pub fn load(path: &Path) -> Result<Self, Vec<Mistake>> {
        let mistakes = Mistakes::default();
        let file = SourceFile { name: path.display().to_string(), rank: 0 };
        let text = match read_file(path, TOML_BYTES_MAX) {
            Ok(bytes) => toml_text(encoding::without_mark(&bytes), &file, &mistakes),
            Err(error) => Err(format!("can't be read: {error}")),
        };
        let text = match text {
            Ok(text) => toml::without_broken_lines(text, &file, &mistakes),
            Err(what) => return Err(vec![Mistake { place: file.name, what }]),
        };
        let mut root = toml::read(&text, &file);

        // The TOML form names a file instead of inline stores.
        let folder = path.parent().unwrap_or(Path::new(""));
        let csv_name = stores_file(&root, &mistakes);
        let csv_path = folder.join(csv_name.as_ref().map_or("", |(name, _)| name));
        let csv = SourceFile { name: csv_path.display().to_string(), rank: 1 };
        let list = csv_name.and_then(|(name, place)| {
            let unreadable =
                |error| mistakes.wrong(place, &FieldPath::Root, unreadable(&name, folder, &error));
            let bytes = read_file(&csv_path, CSV_BYTES_MAX).map_err(unreadable).ok()?;
            Some(stores::read(&bytes, &csv, &mistakes))
        });
        if let RawValue::Table(fields) = &mut root.value
            && let Some(at) = fields.iter().position(|field| field.key == "stores")
        {
            match list {
                Some(list) => fields[at].value = list,
                None => drop(fields.remove(at)),
            }
        }
        check(&root, DefinitionSource::Operator, mistakes)
    }
}

/// The path in `[stores]`, with its position.
fn stores_file<'a>(root: &Node<'a>, mistakes: &Mistakes) -> Option<(String, SourcePosition<'a>)> {
    let RawValue::Table(fields) = &root.value else {
        return None;
    };
    let stores = fields.iter().find(|field| field.key == "stores")?;
    let way = FieldPath::Key(&FieldPath::Root, "stores");
    let table = Table::open(&stores.value, &way, "file", mistakes)?;
    // Byte for byte: a file's name may have any Unicode form.
    let rule = |value: &RawValue<'_>| rules::words(value, PATH_CHARS_MAX, DefinitionSource::Ledger);
    let name = table.required("file", rule)?;
    Some((name, table.field("file")?.value.place))
}

fn toml_text(bytes: &[u8], file: &SourceFile, mistakes: &Mistakes) -> Result<String, String> {
    if let Some(what) = encoding::other_than_utf8(bytes) {
        return Err(what);
    }
    if bytes.contains(&0) {
        return Err("is not a text file".to_owned());
    }
    let lines = toml::LineStarts::of(bytes);
    let mut at = 0;
    for chunk in bytes.utf8_chunks() {
        at += chunk.valid().len();
        if !chunk.invalid().is_empty() {
            mistakes.syntax(file, lines.at(at), "is not UTF-8; save the file as UTF-8".to_owned());
        }
        at += chunk.invalid().len();
    }
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

fn read_file(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("is larger than {} MiB", bytes_max >> 20)));
    }
    Ok(bytes)
}

fn unreadable(name: &str, folder: &Path, error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::NotFound {
        return format!("{} can't be read: {error}", shortened(name));
    }
    let mut what = format!("{} is missing", shortened(name));
    if folder.join("make-stores").is_file() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        what += &format!("; make it: (cd {} && sh make-stores > {name})", folder.display());
    }
    what
}

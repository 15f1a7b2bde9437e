//! Puts the layers of the configuration together and reports every mistake at once.
//!
//! The defaults are the schema: they hold every key with a value of its type.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{Config, DEFAULTS, validate};

/// What every variable of ours begins with.
const PREFIX: &str = "SALER_";
/// What variables begin with that name the servers of the tests; no keys, and often set where a hub is tried beside them.
const TEST_PREFIX: &str = "SALER_TEST_";
/// The variable that names the file; not a key.
const FILE_VARIABLE: &str = "SALER_CONFIG";

/// Where settings come from besides the defaults.
#[derive(Debug, Default)]
pub struct Sources {
    /// The file, from `--config` or `SALER_CONFIG`.
    pub file: Option<PathBuf>,
    /// Variables: names and values.
    pub variables: Vec<(String, String)>,
    /// What was wrong before anything was read, such as a variable that is not UTF-8.
    pub faults: Vec<String>,
}

impl Sources {
    /// The file that the command line names, else `SALER_CONFIG`; and the variables of the process.
    pub fn of_process(file: Option<PathBuf>) -> Self {
        Self::of(file, std::env::vars_os())
    }

    fn of(file: Option<PathBuf>, all: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut sources = Self { file, ..Self::default() };
        for (name, value) in all {
            let is_ours = |name: &&str| name.starts_with(PREFIX) && !name.starts_with(TEST_PREFIX);
            let Some(name) = name.to_str().filter(is_ours).map(str::to_owned) else {
                continue;
            };
            match value.into_string() {
                Ok(value) if name == FILE_VARIABLE => {
                    sources.file.get_or_insert_with(|| PathBuf::from(value));
                }
                Ok(value) => sources.variables.push((name, value)),
                Err(_bytes) => sources.faults.push(format!("variable {name}: its value is not UTF-8; write it anew")),
            }
        }
        sources.variables.sort();
        sources
    }
}

/// Everything that is wrong with the configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// One sentence each, naming the key, where it was set, and the fix.
    pub faults: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has {} mistake(s):", self.faults.len())?;
        for fault in &self.faults {
            write!(f, "\n  - {fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Reads the defaults, the file and the variables, and checks the whole.
///
/// # Errors
/// Every mistake of every layer.
pub fn load(sources: &Sources) -> Result<Config, ConfigError> {
    let mut faults = sources.faults.clone();
    let defaults = match DEFAULTS.parse::<Table>() {
        Ok(table) => table,
        Err(error) => {
            return Err(ConfigError { faults: vec![format!("the built-in defaults cannot be read: {error}")] });
        }
    };
    let mut effective = defaults.clone();
    if let Some(path) = &sources.file {
        match read_file(path) {
            Ok(layer) => merge_file(&mut effective, &defaults, layer, path, &mut faults),
            Err(fault) => faults.push(fault),
        }
    }
    for (name, text) in &sources.variables {
        if let Err(fault) = set_variable(&mut effective, &defaults, name, text) {
            faults.push(fault);
        }
    }
    faults.extend(faults_of_values(&effective, &defaults));
    if faults.is_empty() {
        match Config::deserialize_table(effective) {
            Ok(config) => {
                validate::check(&config, &mut faults);
                if faults.is_empty() {
                    return Ok(config);
                }
            }
            Err(error) => faults.push(error.message().to_owned()),
        }
    }
    Err(ConfigError { faults })
}

/// What has the right types may still not be a value, such as an address that cannot be parsed. Each key that is set is
/// tried alone among the defaults, so that every mistake is told with its key, and none hides another.
fn faults_of_values(effective: &Table, defaults: &Table) -> Vec<String> {
    let mut faults = Vec::new();
    for (section, keys) in effective {
        let (Value::Table(keys), Some(Value::Table(known))) = (keys, defaults.get(section)) else { continue };
        for (key, value) in keys.iter().filter(|(key, value)| known.get(*key) != Some(*value)) {
            let mut whole = defaults.clone();
            set(&mut whole, section, key, value.clone());
            if let Err(error) = Config::deserialize_table(whole) {
                faults.push(format!("{section}.{key}: {}", error.message()));
            }
        }
    }
    faults
}

impl Config {
    fn deserialize_table(table: Table) -> Result<Self, toml::de::Error> {
        Value::Table(table).try_into()
    }
}

fn read_file(path: &Path) -> Result<Table, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("file {}: cannot be read: {error}", path.display()))?;
    text.parse::<Table>().map_err(|error| format!("file {}: is not TOML: {error}", path.display()))
}

fn merge_file(effective: &mut Table, defaults: &Table, layer: Table, path: &Path, faults: &mut Vec<String>) {
    let place = format!("file {}", path.display());
    for (section, value) in layer {
        let Some(Value::Table(known)) = defaults.get(&section) else {
            faults.push(format!("{place}: there is no section [{section}]{}", suggestion(&section, defaults.keys())));
            continue;
        };
        let Value::Table(keys) = value else {
            faults.push(format!("{place}: {section} is a section: write [{section}] and its keys below"));
            continue;
        };
        for (key, value) in keys {
            match known.get(&key) {
                None => {
                    let hint = suggestion(&key, known.keys());
                    faults.push(format!("{place}: there is no key {section}.{key}{hint}"));
                }
                Some(default) if !default.same_type(&value) => faults.push(format!(
                    "{place}: {section}.{key} must be {}, such as {default}; it is {}",
                    type_of(default),
                    type_of(&value),
                )),
                Some(_) => set(effective, &section, &key, value),
            }
        }
    }
}

fn set_variable(effective: &mut Table, defaults: &Table, name: &str, text: &str) -> Result<(), String> {
    let path = name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_lowercase();
    let Some((section, key)) = path.split_once("__") else {
        return Err(format!(
            "variable {name}: write {PREFIX}SECTION__KEY with two underscores between, such as SALER_HTTP__LISTEN"
        ));
    };
    let Some(Value::Table(known)) = defaults.get(section) else {
        return Err(format!(
            "variable {name}: there is no section [{section}]{}",
            suggestion(section, defaults.keys())
        ));
    };
    let Some(default) = known.get(key) else {
        return Err(format!("variable {name}: there is no key {section}.{key}{}", suggestion(key, known.keys())));
    };
    let wrong = || format!("variable {name}: {section}.{key} must be {}, such as {default}", type_of(default));
    let value = match default {
        Value::String(_) => Value::String(text.to_owned()),
        Value::Integer(_) => Value::Integer(text.trim().parse().map_err(|_not_a_number| wrong())?),
        Value::Boolean(_) => Value::Boolean(text.trim().parse().map_err(|_not_a_boolean| wrong())?),
        _ => {
            let mut line = format!("value = {text}").parse::<Table>().map_err(|_not_toml| wrong())?;
            line.remove("value").filter(|value| default.same_type(value)).ok_or_else(wrong)?
        }
    };
    set(effective, section, key, value);
    Ok(())
}

fn set(effective: &mut Table, section: &str, key: &str, value: Value) {
    if let Some(Value::Table(keys)) = effective.get_mut(section) {
        keys.insert(key.to_owned(), value);
    }
}

const fn type_of(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text in quotes",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a time",
        Value::Array(_) => "a list in brackets",
        Value::Table(_) => "a section",
    }
}

/// `"; did you mean x?"` for the nearest known name, if one is near.
fn suggestion<'a>(given: &str, known: impl Iterator<Item = &'a String>) -> String {
    known
        .map(|name| (distance(given, name), name))
        .min()
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(2))
        .map_or_else(String::new, |(_, name)| format!("; did you mean {name}?"))
}

/// How many letters must be changed, added or removed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, (y, pair)) in b.iter().zip(row.windows(2)).enumerate() {
            let [diagonal, above] = pair else { continue };
            let left = next.get(j).copied().unwrap_or(usize::MAX - 1);
            next.push((diagonal + usize::from(x != *y)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Sources {
        Sources::of(None, pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
    }

    fn faults(sources: &Sources) -> Vec<String> {
        load(sources).map_or_else(|error| error.faults, |_config| Vec::new())
    }

    #[test]
    fn defaults_load_and_every_key_of_them_is_a_field() {
        let config = load(&Sources::default()).unwrap();
        assert_eq!(config.public_url(), "http://127.0.0.1:8080");
        assert_eq!(config.origins(), ["http://127.0.0.1:8080"]);
        let socket = super::super::SocketConfig { allowed_origins: Vec::new(), ..Default::default() };
        assert_eq!(config.socket, socket, "the file and the code name the same defaults");
        let shown = config.to_toml().unwrap().parse::<Table>().unwrap();
        let defaults = DEFAULTS.parse::<Table>().unwrap();
        for (section, keys) in &shown {
            let known = defaults[section].as_table().unwrap();
            let missing: Vec<_> = keys.as_table().unwrap().keys().filter(|key| !known.contains_key(*key)).collect();
            assert!(missing.is_empty(), "[{section}] of config.default.toml lacks {missing:?}");
        }
    }

    #[test]
    fn variables_of_the_tests_are_no_settings() {
        assert!(
            faults(&variables(&[("SALER_TEST_KAFKA", "127.0.0.1:19092"), ("SALER_TEST_CQL_PORT", "19042")])).is_empty()
        );
    }

    #[test]
    fn variables_override_the_file_and_the_file_the_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("saler.toml");
        std::fs::write(&path, "[http]\nlisten = \"127.0.0.1:1\"\nworkers = 3\n").unwrap();
        let mut sources = variables(&[
            ("SALER_HTTP__LISTEN", "127.0.0.1:2"),
            ("SALER_SOCKET__ALLOWED_ORIGINS", "[\"https://desk.example\"]"),
            ("OTHER", "x"),
        ]);
        sources.file = Some(path);
        let config = load(&sources).unwrap();
        assert_eq!((config.http.listen.port(), config.http.workers), (2, 3));
        assert_eq!(config.socket.allowed_origins, ["https://desk.example"]);
    }

    #[test]
    fn reports_every_mistake_at_once_with_its_place_and_the_fix() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("saler.toml");
        std::fs::write(&path, "[http]\nlistne = \"x\"\nworkers = \"many\"\n[htpt]\na = 1\n").unwrap();
        let mut sources = variables(&[
            ("SALER_LOG__PARTITIONS", "four"),
            ("SALER_LISTEN", "x"),
            ("SALER_TABLES__CACHE", "1"),
            ("SALER_LOG__DURABILITY", "never"),
            ("SALER_DATA__DIR", "elsewhere"),
        ]);
        sources.file = Some(path);
        let found = faults(&sources);
        assert_eq!(found.len(), 7, "{found:#?}");
        for expected in [
            "there is no key http.listne; did you mean listen?",
            "http.workers must be a whole number, such as 0; it is a text in quotes",
            "there is no section [htpt]; did you mean http?",
            "variable SALER_LOG__PARTITIONS: log.partitions must be a whole number, such as 1",
            "variable SALER_LISTEN: write SALER_SECTION__KEY",
            "variable SALER_TABLES__CACHE: there is no key tables.cache",
            "never",
        ] {
            assert!(found.iter().any(|fault| fault.contains(expected)), "{expected}: {found:#?}");
        }
    }

    #[test]
    fn values_between_which_sockets_never_close_are_refused() {
        for (value, good) in [("0", true), ("1", false), ("999", false), ("1000", true)] {
            let found = faults(&variables(&[("SALER_HTTP__CLIENT_DISCONNECT_TIMEOUT_MS", value)]));
            assert_eq!(found.is_empty(), good, "{value}: {found:?}");
        }
    }

    #[test]
    fn printing_hides_secrets_and_can_be_read_again() {
        let secret = "x".repeat(40);
        let config = load(&variables(&[("SALER_HTTP__METRICS_TOKEN", secret.as_str())])).unwrap();
        let printed = config.to_toml().unwrap();
        assert!(printed.contains("metrics_token = \"***\"") && !printed.contains(&secret), "{printed}");
        assert!(!format!("{config:?}").contains(&secret));
        assert!(printed.parse::<Table>().is_ok());
    }
}

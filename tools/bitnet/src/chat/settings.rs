//! `/set`: options of generation, by the names that they have on the command line.

use anyhow::{Result, bail};
use bitnet_pack::report::usage_line;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use crate::sampling::SamplingArgs;

/// Tokens of an answer: it ends by itself, or where the context does.
const NO_LIMIT: &str = "4294967295";

/// What was said of the options, on the command line and since.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings(Vec<Said>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    name: String,
    /// None for a flag.
    value: Option<String>,
}

/// The option for the length of an answer, as a conversation has it.
pub(crate) fn without_limit(option: Arg) -> Arg {
    let help = "Tokens of an answer at most [default: no limit but the context]";
    option.default_value(NO_LIMIT).hide_default_value(true).help(help)
}

/// The options as a command line of their own.
fn options() -> Command {
    let command = Command::new("/set").no_binary_name(true).disable_help_flag(true);
    SamplingArgs::augment_args(command).mut_arg("max_tokens", without_limit)
}

impl Settings {
    /// What the command line says.
    pub(super) fn of(matches: &ArgMatches) -> Self {
        let mut said = Vec::new();
        for option in options().get_arguments() {
            let id = option.get_id().as_str();
            let Some(name) = option.get_long() else { continue };
            if matches.value_source(id) != Some(ValueSource::CommandLine) {
                continue;
            }
            if option.get_action().takes_values() {
                let values = matches.get_raw(id).into_iter().flatten();
                let value = |value: &std::ffi::OsStr| Some(value.to_string_lossy().into_owned());
                said.extend(values.map(|v| Said { name: name.to_owned(), value: value(v) }));
            } else {
                said.push(Said { name: name.to_owned(), value: None });
            }
        }
        Self(said)
    }

    /// Sets an option, or takes it back. An error changes nothing.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<SamplingArgs> {
        let command = options();
        // Names may be typed as in the configuration, or as on the command line.
        let name = name.trim_start_matches('-').replace('_', "-");
        let option = command.get_arguments().find(|option| option.get_long() == Some(name.as_str()));
        let Some(option) = option else {
            let known: Vec<_> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
            bail!("there is no option {name:?}; known are {}", known.join(", "));
        };
        let is_flag = !option.get_action().takes_values();
        let mut said = self.0.clone();
        said.retain(|said| said.name != name);
        match value {
            "off" => {}
            "" | "on" if is_flag => said.push(Said { name, value: None }),
            _ if is_flag => bail!("{name} is on or off"),
            "" => bail!("{name} needs a value; off takes it back"),
            value => said.push(Said { name, value: Some(value.to_owned()) }),
        }
        let new = Self(said);
        let args = new.args()?;
        *self = new;
        Ok(args)
    }

    /// The options.
    pub(super) fn args(&self) -> Result<SamplingArgs> {
        let words = self.0.iter().map(|said| match &said.value {
            Some(value) => format!("--{}={value}", said.name),
            None => format!("--{}", said.name),
        });
        let parsed = options().try_get_matches_from(words).and_then(|m| SamplingArgs::from_arg_matches(&m));
        parsed.map_err(|error| {
            let line = usage_line(&error.render().to_string());
            anyhow::anyhow!(
                "{}",
                line.trim_start_matches("error: ").trim_end_matches(" (--help lists the options)")
            )
        })
    }

    /// What `/set` shows.
    pub(super) fn list(&self) -> String {
        let mut text = String::new();
        for option in options().get_arguments() {
            let (Some(name), Some(about)) = (option.get_long(), option.get_help()) else { continue };
            let mut values = self.0.iter().filter(|said| said.name == name).peekable();
            let value = if values.peek().is_some() {
                values.map(|said| said.value.as_deref().unwrap_or("on")).collect::<Vec<_>>().join(", ")
            } else if option.get_action().takes_values() {
                let default = option.get_default_values().first().and_then(|value| value.to_str());
                default.filter(|value| *value != NO_LIMIT).unwrap_or("-").to_owned()
            } else {
                "off".to_owned()
            };
            text.push_str(&format!("{name:<20}  {value:<8}  {about}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_what_settings_begin_with() {
        let matches = options()
            .try_get_matches_from(["--temperature=0.5", "--ignore-eos", "--stop-token=3", "--stop-token=4"])
            .unwrap();
        let mut settings = Settings::of(&matches);
        let config = |settings: &Settings| settings.args().unwrap().config(100).unwrap();
        let first = config(&settings);
        assert_eq!((first.max_tokens, first.temperature, first.ignore_eos), (u32::MAX, 0.5, true));
        assert_eq!(first.stop_tokens, [3, 4]);
        settings.set("--max_tokens", "7").unwrap();
        settings.set("ignore-eos", "off").unwrap();
        settings.set("digest", "").unwrap();
        let second = config(&settings);
        assert_eq!((second.max_tokens, second.ignore_eos, second.digest), (7, false, true));
        for (name, value, part) in [
            ("temperatur", "1", "there is no option \"temperatur\"; known are "),
            ("temperature", "hot", "invalid value 'hot' for '--temperature"),
            ("temperature", "", "needs a value"),
            ("digest", "7", "is on or off"),
        ] {
            let error = settings.set(name, value).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(config(&settings), second);
        settings.set("temperature", "off").unwrap();
        assert_eq!(config(&settings).temperature, 0.7);
        assert!(settings.list().contains("max-tokens            7 "), "{}", settings.list());
    }
}

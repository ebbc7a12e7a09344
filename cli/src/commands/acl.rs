//! `network acl`.

use super::keyed::described;
use crate::args::{Acl as Args, AclRule as RuleArgs, Document};
use crate::bus::Session;
use crate::definition::scalars;
use crate::failure::Failure;
use crate::pages;
use crate::pairs;
use crate::progress::{self, OnInterrupt};
use crate::render::{self, Format, Table};
use lxhost_dbus::proxy::AclProxy;
use lxhost_dbus::{Config, Options};
use lxhost_model::Kind;
use lxhost_model::name::quoted;
use serde::{Deserialize, Serialize};
use serde_json::json;
use zbus::wire::OwnedObjectPath;

/// An ACL as YAML, in LXD's words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Definition {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    description: String,
    #[serde(deserialize_with = "scalars")]
    config: Config,
    egress: Vec<RuleText>,
    ingress: Vec<RuleText>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    used_by: Vec<String>,
}

/// A rule, whose values may be written as any scalar.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct RuleText(#[serde(deserialize_with = "scalars")] Config);

impl Definition {
    fn parse(text: &str) -> Result<Self, Failure> {
        if text.trim().is_empty() {
            return Ok(Definition::default());
        }
        let bad = |e: serde_saphyr::Error| {
            let line = e.to_string();
            Failure::usage(format!("not an ACL in YAML: {}", line.lines().next().unwrap_or_default()))
        };
        serde_saphyr::from_str(text).map_err(bad)
    }

    fn rules(rules: &[RuleText]) -> Vec<Config> {
        rules.iter().map(|rule| rule.0.clone()).collect()
    }

    fn direction(&mut self, word: &str) -> Result<&mut Vec<RuleText>, Failure> {
        match word {
            "ingress" => Ok(&mut self.ingress),
            "egress" => Ok(&mut self.egress),
            other => Err(Failure::usage(format!("direction {}: expected ingress or egress", quoted(other)))),
        }
    }
}

/// Runs a verb of `network acl`.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<(), Failure> {
    match args {
        Args::List { format } => list(session, format.format).await,
        Args::Show { acl, format } => show(session, &acl.name, format.format).await,
        Args::Create { name, keys, description } => create(session, name, &pairs::config(keys), description.as_deref()).await,
        Args::Delete { names } => {
            super::power::each(session, names, "Deleting", async |name| delete(session, name).await).await?;
            names.iter().for_each(|name| session.say(format!("ACL {name} deleted")));
            Ok(())
        }
        Args::Rename { acl, new } => {
            let none = Options::new();
            let (object, new) = (session.acl(&acl.name).await?, crate::reference::local(new)?);
            let job = session.allowed(|| object.rename(new, &none)).await?;
            progress::wait(session, &job, &format!("Renaming {}", acl.name), OnInterrupt::Leave).await.map(drop)
        }
        Args::Get { acl, key } => {
            let (definition, _) = read(session, &acl.name).await?;
            render::print(&format!("{}\n", definition.config.get(key).map_or("", String::as_str)))
        }
        Args::Set { acl, keys } => {
            let set = pairs::from_words(keys, &mut std::io::stdin())?;
            change(session, &acl.name, |definition| {
                definition.config.extend(set);
                Ok(())
            })
            .await
        }
        Args::Unset { acl, keys } => {
            change(session, &acl.name, |definition| {
                definition.config.retain(|key, _| !keys.contains(key));
                Ok(())
            })
            .await
        }
        Args::Edit(acl) => edit(session, &acl.name).await,
        Args::ShowLog(acl) => show_log(session, &acl.name).await,
        Args::Rule(RuleArgs::Add { acl, direction, keys, description }) => {
            let (direction, mut rule) = rule(direction, keys)?;
            rule.extend(description.iter().map(|text| ("description".to_owned(), text.clone())));
            change(session, &acl.name, |definition| {
                definition.direction(&direction)?.push(RuleText(rule));
                Ok(())
            })
            .await
        }
        Args::Rule(RuleArgs::Remove { acl, direction, keys, force }) => {
            let keys = pairs::from_words(keys, &mut std::io::stdin())?;
            change(session, &acl.name, |definition| remove(definition.direction(direction)?, &keys, *force)).await
        }
    }
}

/// Direction and keys of a rule, as `ingress action=allow …` or in short as `ingress,allow,tcp SOURCE DESTINATION PORTS`.
fn rule(direction: &str, words: &[String]) -> Result<(String, Config), Failure> {
    let Some((direction, rest)) = direction.split_once(',') else {
        return Ok((direction.to_owned(), pairs::from_words(words, &mut std::io::stdin())?));
    };
    let (action, protocol) = rest.split_once(',').map_or((rest, None), |(action, protocol)| (action, Some(protocol)));
    let mut rule = Config::from([("action".to_owned(), action.to_owned())]);
    rule.extend(protocol.map(|protocol| ("protocol".to_owned(), protocol.to_owned())));
    let (named, plain): (Vec<_>, Vec<_>) = words.iter().cloned().partition(|word| word.contains('='));
    if plain.len() > 3 {
        return Err(Failure::usage("expected SOURCE, DESTINATION and PORTS behind DIRECTION,ACTION,PROTOCOL"));
    }
    rule.extend(["source", "destination", "destination_port"].into_iter().map(str::to_owned).zip(plain));
    rule.extend(pairs::from_words(&named, &mut std::io::empty())?);
    Ok((direction.to_owned(), rule))
}

fn remove(rules: &mut Vec<RuleText>, keys: &Config, force: bool) -> Result<(), Failure> {
    let meant = |rule: &RuleText| keys.iter().all(|(key, value)| rule.0.get(key) == Some(value));
    match rules.iter().filter(|rule| meant(rule)).count() {
        0 => return Err(Failure::of(Kind::InvalidConfig, "no rule has these keys")),
        several if several > 1 && !force => {
            let what = format!("{several} rules have these keys; name more, or --force");
            return Err(Failure::of(Kind::InvalidConfig, what));
        }
        _ => rules.retain(|rule| !meant(rule)),
    }
    Ok(())
}

async fn list(session: &Session, format: Format) -> Result<(), Failure> {
    let rows = pages::acls(session, None).await?;
    let mut table = Table::new(["NAME", "DESCRIPTION", "USED BY"]);
    for row in &rows {
        table.push([row.name.clone(), row.description.clone(), row.used_by.to_string()]);
    }
    let data: Vec<_> = rows
        .iter()
        .map(|r| json!({ "name": r.name, "project": r.project, "description": r.description, "used_by": r.used_by }))
        .collect();
    render::show(format, session.quiet, &table, &data)
}

async fn read(session: &Session, name: &str) -> Result<(Definition, u64), Failure> {
    let acl = session.acl(name).await?;
    let none = Options::new();
    let (config, ingress, egress, generation) = session.allowed(|| acl.get_config(&none)).await?;
    let texts = |rules: Vec<Config>| rules.into_iter().map(RuleText).collect();
    let definition = Definition {
        name: Some(crate::reference::local(name)?.to_owned()),
        description: acl.description().await?,
        config,
        ingress: texts(ingress),
        egress: texts(egress),
        used_by: vec![],
    };
    Ok((definition, generation))
}

async fn show(session: &Session, name: &str, format: Document) -> Result<(), Failure> {
    let (mut definition, _) = read(session, name).await?;
    let users = session.acl(name).await?.list_users().await?;
    if !users.is_empty() {
        let networks = pages::networks(session, None).await?;
        let of = |path: &OwnedObjectPath| networks.iter().find(|row| row.path == *path).map(|row| row.name.clone());
        definition.used_by = users.iter().filter_map(of).collect();
    }
    render::document(format, &definition)
}

async fn create(session: &Session, name: &str, keys: &Config, description: Option<&str>) -> Result<(), Failure> {
    let name = crate::reference::local(name)?;
    let stdin = std::io::stdin();
    let mut new = match crate::definition::is_redirected(&stdin)? {
        true => Definition::parse(&pairs::read_text(&mut stdin.lock())?)?,
        false => Definition::default(),
    };
    new.config.extend(keys.clone());
    let description = description.unwrap_or(&new.description);
    let options = described(Some(description).filter(|text| !text.is_empty()));
    let (ingress, egress) = (Definition::rules(&new.ingress), Definition::rules(&new.egress));
    let manager = session.manager().await?;
    session.allowed(|| manager.create_acl(&session.project, name, &new.config, &ingress, &egress, &options)).await?;
    session.name_or(name, format!("ACL {name} created"))
}

async fn delete(session: &Session, name: &str) -> Result<OwnedObjectPath, Failure> {
    let acl = session.acl(name).await?;
    let none = Options::new();
    session.allowed(|| acl.delete(&none)).await
}

async fn change(
    session: &Session,
    name: &str,
    change: impl FnOnce(&mut Definition) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let acl = session.acl(name).await?;
    let (mut definition, generation) = read(session, name).await?;
    change(&mut definition)?;
    replace(session, name, &acl, &definition, generation).await
}

async fn edit(session: &Session, name: &str) -> Result<(), Failure> {
    let acl = session.acl(name).await?;
    let (before, generation) = read(session, name).await?;
    crate::editor::edit(&render::yaml(&before)?, async |text| {
        replace(session, name, &acl, &Definition::parse(text)?, generation).await
    })
    .await
}

async fn replace(
    session: &Session,
    name: &str,
    acl: &AclProxy<'static>,
    new: &Definition,
    generation: u64,
) -> Result<(), Failure> {
    let options = described(Some(&new.description));
    let (ingress, egress) = (Definition::rules(&new.ingress), Definition::rules(&new.egress));
    let job = session.allowed(|| acl.replace_config(&new.config, &ingress, &egress, generation, &options)).await?;
    progress::wait(session, &job, &format!("Configuring ACL {name}"), OnInterrupt::Leave).await.map(drop)
}

/// What the kernel has logged for the ACL's rules; the journal has it.
async fn show_log(session: &Session, name: &str) -> Result<(), Failure> {
    session.acl(name).await?;
    let name = crate::reference::local(name)?;
    let pattern = format!("^lxhost (ingress|egress) {}: ", name.replace('.', "\\."));
    let mut journal = std::process::Command::new("journalctl");
    journal.args(["--dmesg", "--no-pager", "--output=short-iso", "--case-sensitive=yes", "--grep", &pattern]);
    let status = journal.status().map_err(|e| Failure::io("start journalctl", &e))?;
    // It ends with 1 when nothing fits.
    match status.code() {
        Some(0 | 1) => Ok(()),
        _ => Err(Failure::of(Kind::Failed, format!("journalctl ended with {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_rule_is_taken_in_long_and_in_short() {
        let long = ["action=allow", "protocol=tcp", "source=0.0.0.0/0", "destination=10.0.0.0/8", "destination_port=80,443"];
        let short = rule("ingress,allow,tcp", &words(&["0.0.0.0/0", "10.0.0.0/8", "80,443"])).unwrap();
        assert_eq!(short, rule("ingress", &words(&long)).unwrap());
        assert_eq!(rule("egress,drop", &words(&["10.0.0.1"])).unwrap().1.len(), 2);
        assert!(rule("egress,drop", &words(&["a", "b", "c", "d"])).is_err());
    }

    #[test]
    fn one_rule_is_removed_and_several_only_by_force() {
        let of = |port: &str| {
            RuleText(Config::from([("action".to_owned(), "allow".to_owned()), ("destination_port".to_owned(), port.to_owned())]))
        };
        let mut rules = vec![of("80"), of("443")];
        let keys = Config::from([("action".to_owned(), "allow".to_owned())]);
        assert!(remove(&mut rules, &keys, false).is_err());
        remove(&mut rules, &of("80").0, false).unwrap();
        assert_eq!(rules, [of("443")]);
        assert!(remove(&mut rules, &of("80").0, false).is_err());
        remove(&mut rules, &keys, true).unwrap();
        assert!(rules.is_empty());
    }

    #[test]
    fn a_definition_in_lxds_words_is_read() {
        let text = "name: web\ndescription: Web\negress: []\ningress:\n- action: allow\n  protocol: tcp\n  destination_port: 80\nconfig: {}\nused_by: []\n";
        let acl = Definition::parse(text).unwrap();
        assert_eq!(acl.ingress[0].0["destination_port"], "80");
        assert_eq!(Definition::parse("rules: []\n").unwrap_err().code, 2);
    }
}

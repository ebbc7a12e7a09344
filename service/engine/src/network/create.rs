//! `network.create`: a network with everything chosen that the caller left open.

use super::{free, guard, listener};
use crate::job::Output;
use crate::ports::{NetworkRecords, Row, State, Write};
use crate::step::{Outcome, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Ports, Result};
use async_trait::async_trait;
use lxhost_model::config::Config;
use lxhost_model::name::{NetworkName, ProjectName};
use lxhost_model::{Network, ObjectId};

/// Makes a network.
pub struct Create {
    network: Network,
    noted: bool,
    /// Whether it is there already, without a record.
    again: bool,
}

impl Create {
    /// Makes the network `name` of type `kind` in `project`.
    ///
    /// # Errors
    /// `Unsupported` for an unknown type; `InvalidConfig`.
    pub fn new(ports: &Ports, project: ProjectName, name: NetworkName, kind: &str, config: Config) -> Result<Self> {
        let kind = ports.networks.resolve(kind)?;
        config.iter().try_for_each(|(key, value)| lxhost_model::config::check_text(key, value))?;
        let network = Network {
            id: ObjectId::from_random(ports.host.random()),
            project,
            name,
            kind: kind.to_owned(),
            description: String::new(),
            config,
            forwards: Default::default(),
            load_balancers: Default::default(),
            checkpoint: None,
            created: ports.host.now(),
            generation: 0,
        };
        Ok(Create { network, noted: false, again: false })
    }

    /// One whose record was lost: what is there of it is used by whoever has outlived that, and is not taken away when
    /// this fails.
    pub(crate) fn again(network: Network) -> Self {
        Create { network, noted: false, again: true }
    }

    /// The bridge that a first launch makes; what was chosen is told to its caller.
    pub(crate) fn chosen(view: &View<'_>, project: ProjectName, name: NetworkName) -> Self {
        let network = Network {
            id: ObjectId::from_random(view.ports.host.random()),
            project,
            name,
            kind: "bridge".to_owned(),
            description: "Default network".to_owned(),
            config: Config::new(),
            forwards: Default::default(),
            load_balancers: Default::default(),
            checkpoint: None,
            created: view.now,
            generation: 0,
        };
        Create { network, noted: true, again: false }
    }

    /// The same with a description.
    ///
    /// # Errors
    /// `InvalidConfig`.
    pub fn described(mut self, description: String) -> Result<Self> {
        lxhost_model::config::check_text("description", &description)?;
        self.network.description = description;
        Ok(self)
    }

    /// Identity it is going to have.
    pub fn id(&self) -> ObjectId {
        self.network.id
    }
}

#[async_trait]
impl Verb for Create {
    fn name(&self) -> &'static str {
        "network.create"
    }

    fn questions(&self, _state: &State) -> Vec<Question> {
        guard(self.network.name.as_str(), &self.network.config, self.name())
    }

    fn key(&self) -> Option<String> {
        Some("network.create".to_owned())
    }

    fn check(&self, state: &State) -> Result<()> {
        free(state, &self.network.project, &self.network.name)
    }

    fn writes_whole(&self) -> Option<&'static str> {
        Some(super::FIREWALL)
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let mut network = self.network.clone();
        let others = NetworkRecords::claimed(&view.state);
        network.config = view.ports.networks.driver(&network.kind)?.complete(&network, &others).await?;
        listener::check(&view.state, &network)?;
        let up = if self.again { Step::AdoptNetwork } else { Step::NetworkUp };
        Ok(Plan {
            writes: vec![],
            steps: vec![up(network.clone())],
            finish: vec![Write::Insert(Row::Network(network))],
            failed: vec![],
            recovery: Recovery::Undo,
        })
    }

    fn finish(&self, plan: &Plan, _outcome: &Outcome, _state: &State) -> Result<Finish> {
        let mut output = Output::object("network", self.network.id);
        if let (true, Some(Write::Insert(Row::Network(network)))) = (self.noted, plan.finish.first()) {
            let subnets: Vec<&str> =
                ["ipv4.address", "ipv6.address"].iter().filter_map(|key| network.config.get(*key)).map(String::as_str).collect();
            output.notes.push(format!("made network {} ({})", network.name, subnets.join(", ")));
        }
        Ok(Finish { writes: plan.finish.clone(), output })
    }
}

//! Rules: which routing table a packet is looked up in (ip-rule(8)).

use crate::error::errno;
use crate::{Done, Error, Handle, LinkName, Result};
use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::IpVersion;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};

/// A rule that leads to a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Place: the lowest is looked at first. 0, 32766 and 32767 are the kernel's own.
    pub priority: u32,
    /// Table that it leads to.
    pub table: u32,
    /// Senders; `None`: all.
    pub from: Option<IpNet>,
    /// Destinations; `None`: all.
    pub to: Option<IpNet>,
    /// Link that packets came by; `None`: all.
    pub input: Option<LinkName>,
    /// Whether it is for IPv6, when no net says so.
    pub ipv6: bool,
}

impl Rule {
    fn is_ipv6(&self) -> bool {
        self.from.or(self.to).map_or(self.ipv6, |net| net.addr().is_ipv6())
    }

    fn message(&self) -> RuleMessage {
        let mut message = RuleMessage::default();
        message.header.family = if self.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
        message.header.action = RuleAction::ToTable;
        message.header.table = u8::try_from(self.table).unwrap_or_default();
        message.attributes = vec![RuleAttribute::Priority(self.priority), RuleAttribute::Table(self.table)];
        if let Some(net) = self.from {
            message.header.src_len = net.prefix_len();
            message.attributes.push(RuleAttribute::Source(net.network()));
        }
        if let Some(net) = self.to {
            message.header.dst_len = net.prefix_len();
            message.attributes.push(RuleAttribute::Destination(net.network()));
        }
        if let Some(input) = &self.input {
            message.attributes.push(RuleAttribute::Iifname(input.to_string()));
        }
        message
    }

    fn read(message: &RuleMessage) -> Option<Self> {
        let ipv6 = message.header.family == AddressFamily::Inet6;
        let table = u32::from(message.header.table);
        let mut rule = Rule { priority: 0, table, from: None, to: None, input: None, ipv6 };
        for attribute in &message.attributes {
            match attribute {
                RuleAttribute::Priority(priority) => rule.priority = *priority,
                RuleAttribute::Table(table) => rule.table = *table,
                RuleAttribute::Source(address) => rule.from = IpNet::new(*address, message.header.src_len).ok(),
                RuleAttribute::Destination(address) => rule.to = IpNet::new(*address, message.header.dst_len).ok(),
                RuleAttribute::Iifname(name) => rule.input = Some(name.parse().ok()?),
                _ => {}
            }
        }
        (message.header.action == RuleAction::ToTable).then_some(rule)
    }
}

impl Handle {
    /// All rules of this namespace that lead to tables, IPv4 and IPv6.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> lxhost_netlink::Result<()> {
    /// use lxhost_netlink::Handle;
    /// for rule in Handle::open()?.rules().await? {
    ///     println!("{}: from {:?} look in table {}", rule.priority, rule.from, rule.table);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Kernel`.
    pub async fn rules(&self) -> Result<Vec<Rule>> {
        let mut rules = Vec::new();
        for version in [IpVersion::V4, IpVersion::V6] {
            let answer = self.requests()?.rule().get(version).execute();
            let messages: Vec<RuleMessage> = answer.try_collect().await.map_err(|e| Error::from_request("list rules", e))?;
            rules.extend(messages.iter().filter_map(Rule::read));
        }
        Ok(rules)
    }

    /// Makes the rule.
    ///
    /// ```no_run
    /// # async fn example() -> lxhost_netlink::Result<()> {
    /// use lxhost_netlink::{Handle, Rule};
    /// let guests = "10.1.2.0/24".parse().ok();
    /// let rule = Rule { priority: 1000, table: 100, from: guests, to: None, input: Some("br0".parse()?), ipv6: false };
    /// let _ = Handle::open()?.ensure_rule(&rule).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Kernel`.
    pub async fn ensure_rule(&self, rule: &Rule) -> Result<Done> {
        let wanted =
            Rule { ipv6: rule.is_ipv6(), from: rule.from.map(|n| n.trunc()), to: rule.to.map(|n| n.trunc()), ..rule.clone() };
        if self.rules().await?.contains(&wanted) {
            return Ok(Done::Already);
        }
        let mut request = self.requests()?.rule().add();
        *request.message_mut() = wanted.message();
        match request.execute().await {
            Ok(()) => Ok(Done::Changed),
            Err(error) => match Error::from_request(format!("make the rule of priority {}", rule.priority), error) {
                error if error.errno() == Some(errno::EXISTS) => Ok(Done::Already),
                error => Err(error),
            },
        }
    }

    /// Removes the rule.
    ///
    /// # Errors
    /// `Kernel`.
    pub async fn remove_rule(&self, rule: &Rule) -> Result<Done> {
        match self.requests()?.rule().del(rule.message()).execute().await {
            Ok(()) => Ok(Done::Changed),
            Err(error) => match Error::from_request(format!("remove the rule of priority {}", rule.priority), error) {
                error if error.errno() == Some(errno::NO_ENTRY) => Ok(Done::Already),
                error => Err(error),
            },
        }
    }
}

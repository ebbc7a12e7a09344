//! What all kinds of virtual links have in common: made when there is none of the name, adapted when there
//! is, refused when what exists is something else. Called by the file of each kind.

use crate::error::errno;
use crate::link::Link;
use crate::{Done, Error, Handle, LinkName, Mac, Result};
use rtnetlink::packet_route::link::LinkMessage;
use rtnetlink::{LinkMessageBuilder, LinkUnspec};

/// A link as it shall be.
pub(crate) struct Wanted<'a> {
    /// Name.
    pub(crate) name: &'a LinkName,
    /// Kind, as the kernel calls it.
    pub(crate) kind: &'static str,
    /// Hardware address; `None` leaves it.
    pub(crate) mac: Option<Mac>,
    /// Largest packet, bytes; `None` leaves it.
    pub(crate) mtu: Option<u32>,
}

impl Wanted<'_> {
    /// Adds name, address and size to the request that makes it.
    pub(crate) fn on<T>(&self, message: LinkMessageBuilder<T>) -> LinkMessageBuilder<T>
    where
        T: std::fmt::Debug,
    {
        let message = match self.mac {
            Some(mac) => message.address(mac.bytes().to_vec()),
            None => message,
        };
        match self.mtu {
            Some(mtu) => message.mtu(mtu),
            None => message,
        }
    }
}

impl Handle {
    /// Makes the link by `create`, or adapts address and size of the one that exists. `differs` names what of an
    /// existing one is not as wanted and cannot be changed.
    pub(crate) async fn ensure_link(
        &self,
        wanted: &Wanted<'_>,
        create: LinkMessage,
        differs: impl Fn(&Link) -> Option<&'static str>,
    ) -> Result<Done> {
        let name = wanted.name.as_str();
        let link = match self.link(name).await? {
            Some(link) => link,
            None => match self.create_link(wanted, create).await {
                Ok(()) => return Ok(Done::Changed),
                // Somebody was faster: adapt theirs.
                Err(Error::Exists(_)) => self.existing(name).await?,
                Err(error) => return Err(error),
            },
        };
        if link.kind.as_deref() != Some(wanted.kind) {
            let found = link.kind.unwrap_or_else(|| "physical interface".to_owned());
            return Err(Error::WrongKind { name: name.to_owned(), found, wanted: wanted.kind });
        }
        if let Some(what) = differs(&link) {
            return Err(Error::Differs { name: name.to_owned(), what });
        }
        self.adapt(wanted, &link).await
    }

    async fn adapt(&self, wanted: &Wanted<'_>, link: &Link) -> Result<Done> {
        let mac = wanted.mac.filter(|mac| !link.has_mac(*mac));
        let mtu = wanted.mtu.filter(|mtu| *mtu != link.mtu);
        if mac.is_none() && mtu.is_none() {
            return Ok(Done::Already);
        }
        let changed = Wanted { mac, mtu, ..*wanted };
        let message = changed.on(LinkUnspec::new_with_index(link.index));
        self.change(message.build(), format!("change {} {}", wanted.kind, wanted.name)).await?;
        Ok(Done::Changed)
    }

    /// Makes the link.
    pub(crate) async fn create_link(&self, wanted: &Wanted<'_>, create: LinkMessage) -> Result<()> {
        self.requests()?.link().add(create).execute().await.map_err(|error| {
            match Error::from_request(format!("create {} {}", wanted.kind, wanted.name), error) {
                error if error.errno() == Some(errno::EXISTS) => Error::Exists(wanted.name.to_string()),
                error => error,
            }
        })
    }

    /// Removes the link called `name` if it is of that kind.
    pub(crate) async fn delete_kind(&self, name: &str, kind: &'static str) -> Result<Done> {
        match self.link(name).await? {
            None => Ok(Done::Already),
            Some(link) if link.kind.as_deref() == Some(kind) => self.delete_link(name).await,
            Some(link) => {
                let found = link.kind.unwrap_or_else(|| "physical interface".to_owned());
                Err(Error::WrongKind { name: name.to_owned(), found, wanted: kind })
            }
        }
    }
}

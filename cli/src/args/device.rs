//! Arguments of `config device` and `profile device`.

use super::{DocumentArg, FormatArg};
use crate::pairs::Pair;
use clap::Subcommand;

// Devices of an instance or of a profile.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Device {
    /// Add a device
    #[command(
        after_help = "Examples:\n  lxctl config device add c1 eth1 nic network=lxbr0\n  lxctl config device add c1 eth1 nic network=lxbr0 ipv4.address=10.1.2.9\n  lxctl config device add c1 eth2 nic network=lxbr0 vlan=100 vlan.tagged=200,300-310\n  lxctl config device add c1 lan nic nictype=bridged parent=br0\n  lxctl config device add c1 wan nic nictype=macvlan parent=eth0\n  lxctl config device add c1 pub nic nictype=routed parent=eth0 ipv4.address=192.0.2.9\n  lxctl config device add c1 web proxy listen=tcp:0.0.0.0:8080 connect=tcp:127.0.0.1:80\n  lxctl config device add c1 dns proxy listen=udp:192.0.2.1:53 connect=udp:127.0.0.1:53\n  lxctl config device add c1 data disk source=/srv/data path=/data readonly=true\n  lxctl config device add c1 shared disk pool=default source=shared-data path=/srv/shared\n  lxctl config device add c1 scratch disk source=tmpfs: size=64MiB path=/scratch"
    )]
    Add {
        /// Instance or profile
        holder: String,
        /// Name of the device
        device: String,
        /// Type, such as nic or disk
        #[arg(value_name = "TYPE")]
        kind: String,
        /// Its keys
        #[arg(value_name = "KEY=VALUE")]
        keys: Vec<Pair>,
    },
    /// Remove devices
    #[command(visible_alias = "rm", after_help = "Examples:\n  lxctl config device remove c1 eth1")]
    Remove {
        /// Instance or profile
        holder: String,
        /// Devices
        #[arg(required = true, value_name = "DEVICE")]
        devices: Vec<String>,
    },
    /// List devices
    #[command(visible_alias = "ls", after_help = "Examples:\n  lxctl config device list c1")]
    List {
        /// Instance or profile
        holder: String,
        #[command(flatten)]
        format: FormatArg,
    },
    /// Show devices with their keys as YAML
    #[command(after_help = "Examples:\n  lxctl config device show c1")]
    Show {
        /// Instance or profile
        holder: String,
        #[command(flatten)]
        format: DocumentArg,
    },
    /// Print one key
    #[command(after_help = "Examples:\n  lxctl config device get c1 eth0 hwaddr")]
    Get {
        /// Instance or profile
        holder: String,
        /// Device
        device: String,
        /// Key
        key: String,
    },
    /// Set keys
    #[command(
        after_help = "Examples:\n  lxctl config device set c1 eth0 limits.max=100Mbit\n  lxctl config device set c1 eth0 attached=false\n  lxctl config device set c1 root size=20GiB\n  lxctl config device set c1 root size 20GiB"
    )]
    Set {
        /// Instance or profile
        holder: String,
        /// Device
        device: String,
        /// KEY=VALUE…, or KEY VALUE
        #[arg(required = true, value_name = "KEY=VALUE")]
        keys: Vec<String>,
    },
    /// Unset a key
    #[command(after_help = "Examples:\n  lxctl config device unset c1 root size")]
    Unset {
        /// Instance or profile
        holder: String,
        /// Device
        device: String,
        /// Key
        key: String,
    },
    /// Copy a device of a profile to the instance and change keys of it
    #[command(
        after_help = "Examples:\n  lxctl config device override c1 eth0 security.mac_filtering=false\n  lxctl config device override c1 root size=20GiB"
    )]
    Override {
        /// Instance
        holder: String,
        /// Device
        device: String,
        /// Keys
        #[arg(value_name = "KEY=VALUE")]
        keys: Vec<Pair>,
    },
}

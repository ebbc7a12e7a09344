//! Somebody outside of the host, and what ports say to whom: the rig of suites about networks. Depends on `stage`.
//! Called by suites.

use anyhow::Result;

use super::Stage;

impl Stage {
    /// Makes sure that there is a network namespace `outside` that plays the rest of the world: it has the address
    /// 198.51.100.2, the host is 198.51.100.1 to it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn outside(&self) -> Result<()> {
        let script = "ip netns list | grep -qw outside && exit
            ip netns add outside; ip link add out0 type veth peer name in0 netns outside
            ip address add 198.51.100.1/24 dev out0; ip link set out0 up
            ip -n outside address add 198.51.100.2/24 dev in0; ip -n outside link set in0 up; ip -n outside link set lo up";
        self.host.succeed(["sh", "-ec", script]).map(drop)
    }

    /// Has a port of a busybox instance answer everybody with what `program` prints, who may read what they say.
    ///
    /// # Errors
    /// When nobody listens there in half a minute.
    pub fn serve(&self, instance: &str, port: u16, program: &str) -> Result<()> {
        let serve = format!("netstat -ltn | grep -q ':{port} ' || nc -ll -p {port} -e {program} >/dev/null 2>&1 &");
        self.exec(instance, ["sh", "-c", &serve]).succeed()?;
        self.eventually("a server in the instance", || {
            let listening = self.exec(instance, ["netstat", "-ltn"]).succeed()?;
            Ok(listening.contains(&format!(":{port} ")).then_some(()))
        })
    }

    /// What a port of `address` says to `from`, which is `host`, `outside` or an instance; nothing if nobody answers.
    ///
    /// # Errors
    /// When the question cannot be asked.
    pub fn heard(&self, from: &str, address: &str, port: u16) -> Result<String> {
        let ask = format!("echo hi | busybox nc -w 3 {address} {port}");
        let output = match from {
            "host" => self.host.command(["sh", "-c", &ask]).output()?,
            "outside" => self.host.command(["ip", "netns", "exec", "outside", "sh", "-c", &ask]).output()?,
            instance => self.exec(instance, ["sh", "-c", &ask.replace("busybox ", "")]).output()?,
        };
        Ok(output.stdout_text().trim().to_owned())
    }
}

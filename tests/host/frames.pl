# listen LINK: prints the name of each frame of ours that comes, from `listening` on.
# send LINK OWN-IP OTHER-MAC BRIDGE-MAC: sends one of each kind, those that everybody may send last.
use strict;
my ($mode, $link, $ip, $other, $bridge) = @ARGV;
$| = 1;
socket(my $socket, 17, 3, 0x0300) or die "socket: $!";
my $request = pack("a32", $link);
ioctl($socket, 0x8933, $request) or die "index of $link: $!";
my $index = unpack("x16 i", $request);
bind($socket, pack("S n i S C C a8", 17, 3, $index, 0, 0, 6, "")) or die "bind: $!";
if ($mode eq "listen") {
    print "listening\n";
    while (defined recv($socket, my $frame, 2048, 0)) {
        print "$1\n" if $frame =~ /forged:([a-z0-9-]+)!/;
    }
    exit;
}
$request = pack("a32", $link);
ioctl($socket, 0x8927, $request) or die "address of $link: $!";
my $mac = unpack("x18 a6", $request);
my $prefix = pack("H*", "fe80000000000000");
sub host { my @b = unpack("C6", $_[0]); $prefix . pack("C8", $b[0] ^ 2, @b[1, 2], 0xff, 0xfe, @b[3 .. 5]) }
my ($own, $theirs, $router) = map { host($_) } $mac, map { pack("H12", tr/://dr) } $other, $bridge;
my $all = pack("H*", "ff020000000000000000000000000001");
my $none = "\0" x 16;
sub frame { my ($type, $rest) = @_; syswrite($socket, "\xff" x 6 . $mac . pack("n", $type) . $rest) or die "send: $!" }
sub mark { my $text = "forged:$_[0]!"; $text . " " x (30 - length $text) }
# A packet; with `hidden`, its header stands behind one of options for the receiver.
sub ipv6 {
    my ($next, $from, $hidden, $inner) = @_;
    ($next, $inner) = (60, pack("C C C C N", $next, 0, 1, 4, 0) . $inner) if $hidden;
    frame(0x86dd, pack("N n C C a16 a16", 0x60000000, length $inner, $next, 255, $from, $all) . $inner);
}
sub icmp { my ($type, $body, $name) = @_; pack("C C n", $type, 0, 0) . $body . pack("C C", 253, 4) . mark($name) }
sub advert { my ($target, $name) = @_; icmp(136, pack("N a16", 0x20000000, $target), $name) }
sub ask { my ($target, $name) = @_; icmp(135, pack("N a16", 0, $target), $name) }
sub router { icmp(134, pack("C C n N N", 64, 0, 1800, 0, 0), $_[0]) }
sub udp { my ($from, $to, $name) = @_; pack("n n n n", $from, $to, 38, 0) . mark($name) }
sub ipv4 {
    my ($inner) = @_;
    my @words = (0x4500, 20 + length $inner, 0, 0, 0x4011, 0, unpack("n2", pack("C4", split /\./, $ip)), 0xffff, 0xffff);
    my $sum = 0;
    $sum += $_ for @words;
    $sum = ($sum & 0xffff) + ($sum >> 16) for 1, 2;
    $words[5] = ~$sum & 0xffff;
    frame(0x0800, pack("n10", @words) . $inner);
}
ipv6(58, $own, 0, router("router"));
ipv6(58, $own, 1, router("router-hidden"));
ipv6(58, $own, 0, advert($theirs, "neighbour"));
ipv6(58, $own, 1, advert($theirs, "neighbour-hidden"));
ipv6(58, $own, 0, advert($router, "gateway"));
ipv6(58, $own, 1, advert($router, "gateway-hidden"));
ipv6(58, $theirs, 0, ask($own, "neighbour-asks"));
ipv6(58, $none, 0, ask($theirs, "neighbour-begins"));
ipv6(17, $own, 0, udp(547, 546, "dhcp6"));
ipv6(17, $own, 1, udp(547, 546, "dhcp6-hidden"));
ipv6(17, $own, 0, udp(5470, 546, "dhcp6-other-port"));
ipv4(udp(67, 68, "dhcp4"));
ipv4(udp(6700, 68, "dhcp4-other-port"));
ipv6(58, $none, 0, ask($own, "own-begins"));
ipv6(58, $own, 0, advert($own, "own"));
ipv6(58, $own, 0, ask($theirs, "own-asks"));
ipv6(17, $own, 1, udp(5000, 5001, "plain"));
ipv4(udp(5000, 5001, "last"));

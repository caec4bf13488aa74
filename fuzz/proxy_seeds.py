#!/usr/bin/env python3
"""Writes the seeds of the targets for proxies, in front of clients and of servers, and for redirects to
corpus/. Run it in this directory."""
import os


def save(target, name, data):
    os.makedirs(f"corpus/{target}", exist_ok=True)
    with open(f"corpus/{target}/{name}", "wb") as out:
        out.write(data)


def sized(data):
    return bytes([len(data)]) + data


def http_connect():
    credentials, ends, small, bad_agent = 1, 2, 4, 8
    chunked = b"HTTP/1.1 502 Bad\r\nTransfer-Encoding: chunked\r\n\r\n"
    for name, flags, answer in (
        ("ok", 0, b"HTTP/1.1 200 OK\r\n\r\n"),
        ("http10", credentials, b"HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n"),
        ("bytes_behind", 0, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"),
        ("interim", 0, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 X\r\n\r\nHTTP/1.1 204 No\r\n\r\n"),
        ("switching", 0, b"HTTP/1.1 101 Switching\r\n\r\n"),
        ("digest", 0, b'HTTP/1.1 407 Auth\r\nProxy-Authenticate: Digest realm="x"\r\nContent-Length: 2\r\n\r\nno'),
        ("basic", credentials, b'HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n'),
        ("chunks", 0, chunked + b"3\r\nabc\r\n0\r\n\r\n"),
        ("broken_chunks", 0, chunked + b"q"),
        ("endless_body", ends, b"HTTP/1.1 403 No\r\n\r\n" + b"x" * 1500),
        ("short_body", ends, b"HTTP/1.1 403 No\r\nContent-Length: 999999999999999999999\r\n\r\nab"),
        ("end", ends, b"HTTP/1.1 20"),
        ("nothing", ends, b""),
        ("long_head", small, b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300),
        ("garbage", 0, b"\x15\x03\x01\x00\x02\x02\x0a"),
        ("bad_agent", bad_agent, b"HTTP/1.1 200 OK\r\n\r\n"),
    ):
        save("http_connect_fuzz", name, bytes([flags]) + answer)


def socks5():
    credentials, ends, long_name = 1, 2, 4
    host = sized(b"example.com")
    ipv4 = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50"
    for name, flags, to, answer in (
        ("ok", 0, host, b"\x05\x00" + ipv4),
        ("password", credentials, host, b"\x05\x02\x01\x00" + ipv4 + b"more"),
        ("wrong_password", credentials, host, b"\x05\x02\x01\x01"),
        ("no_rfc1929", credentials, host, b"\x05\x02\x05\x00"),
        ("to_ipv4", 0, sized(b"192.0.2.7"), b"\x05\x00" + ipv4),
        ("to_ipv6", 0, sized(b"2001:db8::7"), b"\x05\x00\x05\x00\x00\x04" + b"\x01" * 18),
        ("bound_name", 0, sized(b"example.com."), b"\x05\x00\x05\x00\x00\x03" + sized(b"bound.example") + b"\x01\x02"),
        ("bound_nothing", 0, host, b"\x05\x00\x05\x00\x00\x03\x00\x01\x02"),
        ("bad_type", 0, host, b"\x05\x00\x05\x00\x00\x02"),
        ("bad_reply", 0, host, b"\x05\x00\x04\x00\x00\x01"),
        ("socks4", 0, host, b"\x00\x5a"),
        ("none", 0, host, b"\x05\xff"),
        ("none_with_password", credentials, host, b"\x05\xff"),
        ("not_offered", 0, host, b"\x05\x02"),
        ("end", ends, host, b"\x05"),
        ("long_user", long_name, host, b"\x05\x00"),
        ("no_host", 0, sized(b""), b"\x05\x00"),
    ):
        save("socks5_fuzz", name, bytes([flags]) + to + answer)
    for reply in (1, 2, 5, 8, 9):
        save("socks5_fuzz", f"reply_{reply}", b"\x00" + host + b"\x05\x00\x05" + bytes([reply]) + b"\x00\x01")


def no_proxy():
    for name, host, names in (
        ("all", b"a.example", b"*"),
        ("name", b"a.example", b"b.example, a.example"),
        ("subdomain", b"x.a.example.", b".A.example"),
        ("only_subdomains", b"a.example", b"*.a.example\t*.example."),
        ("port", b"a.example", b"a.example:1 a.example:443"),
        ("bad_port", b"a.example", b"a.example:70000,a.example:"),
        ("block", b"10.1.2.3", b"10.0.0.0/8"),
        ("ipv6", b"2001:db8::1", b"2001:db8::/32,[2001:db8::1]:443 [::1]"),
        ("address", b"127.0.0.1", b"127.0.0.2,127.0.0.1:443"),
        ("malformed", b"a", b",, /8 [ ] : a/b a@b *. . 10.0.0.0/99"),
    ):
        save("no_proxy_fuzz", name, b"\x01\xbb" + sized(host) + names)


def proxy_urls():
    for name, url in (
        ("host", b"proxy.example"),
        ("port", b"http://192.0.2.1:3128/"),
        ("password", b"https://me:p%40ss%3a@proxy.example"),
        ("no_password", b"socks5://me@[::1]:1080"),
        ("two_at", b"socks5h://me:a@b@proxy"),
        ("scheme", b"socks4://proxy"),
        ("percent", b"http://a%zz:b@proxy"),
        ("percent_short", b"http://a%4@proxy"),
        ("port_0", b"http://proxy:0"),
        ("zone", b"http://[fe80::1%25eth0]"),
        ("empty", b""),
        ("path", b"http://proxy/path"),
        ("nul", b"http://pro\x00xy"),
    ):
        save("proxy_url_fuzz", name, url)


def redirects():
    for name, url, location in (
        ("absolute", b"ws://a/b", b"wss://c:9/d?e#f"),
        ("http", b"ws://a/b", b"http://c"),
        ("https", b"ws://a/b", b"HTTPS://[::1]/x"),
        ("downgrade", b"wss://a/b", b"ws://a/b"),
        ("network", b"wss://a/b", b"//c/d"),
        ("path", b"wss://a/b/c?d", b"/x/../y/./z?q=../r"),
        ("relative", b"ws://a:8/b/c", b"../d//e/.."),
        ("above", b"ws://a/b", b"../../../c"),
        ("query", b"ws://a/b?c", b"?d"),
        ("fragment", b"ws://a/b?c", b"#d"),
        ("other_scheme", b"ws://a/b", b"ftp://c"),
        ("opaque", b"ws://a/b", b"mailto:x"),
        ("user", b"ws://a/b", b"ws://me:secret@c"),
        ("unix", b"ws+unix:///run/x:/b", b"/c"),
        ("to_unix", b"ws://a/b", b"ws+unix:///run/x"),
        ("empty", b"ws://a/b", b""),
        ("space", b"ws://a/b", b"/c d"),
    ):
        save("redirect_fuzz", name, sized(url) + location)


def forwarded():
    for name, flags, text in (
        ("one", 0, b"203.0.113.7"),
        ("chain", 1, b"198.51.100.1, 203.0.113.7:80, 10.0.0.2"),
        ("ipv6", 0, b"[2001:db8::7]:4711, 2001:db8::8"),
        ("hidden", 1, b"unknown, _a1:_p, unix:"),
        ("unreadable", 0, b"203.0.113.7, x, 10.0.0.1, 1.2.3.256, [::1, [::1]x, 1.2.3.4:65536, 1.2.3.4:_"),
        ("empty", 1, b", ,"),
        ("trusted", 0, b"10.0.0.3,10.0.0.2"),
        ("host", 0, b"example.org:8443"),
        ("scheme", 0, b"https"),
        ("pairs", 0, b'for=203.0.113.7;proto=https;host="example.org:8443";by=10.0.0.1'),
        ("quoted", 0, b'for="[2001:db8::7]:4711";x="a,b;\\"c\\\\", for=unknown;proto=http'),
        ("open_quote", 1, b'for="203.0.113.7'),
        ("open_quote_before", 1, b'for=", for=203.0.113.7;host="a'),
        ("backslash", 1, b'for="a\\'),
        ("twice", 0, b"for=a;for=b, host=a;HOST=b"),
        ("no_for", 0, b"proto=ws;host=h, by=_x"),
        ("blanks", 0, b" ; for=a ;; proto=wss ; , for =b, for= c"),
    ):
        save("forwarded_fuzz", name, bytes([flags]) + text)


def proxy_header():
    def v2(command, family, block):
        return b"\r\n\r\n\0\r\nQUIT\n" + bytes([command, family]) + len(block).to_bytes(2, "big") + block

    def tlv(kind, value):
        return bytes([kind]) + len(value).to_bytes(2, "big") + value

    def crc32c(data):
        crc = 0xFFFFFFFF
        for byte in data:
            crc ^= byte
            for _ in range(8):
                crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        return (crc ^ 0xFFFFFFFF).to_bytes(4, "big")

    ipv4 = b"\xc0\x00\x02\x07\x7f\x00\x00\x01\xc8\x22\x01\xbb"
    ipv6 = b"\x20\x01\x0d\xb8" + bytes(11) + b"\x07" + bytes(15) + b"\x01\xc8\x22\x01\xbb"
    ssl = b"\x07\0\0\0\0" + tlv(0x21, b"TLSv1.3") + tlv(0x22, b"alice") + tlv(0x23, b"AES") + tlv(0x24, b"x")
    zeros = v2(0x21, 0x11, ipv4 + tlv(3, bytes(4)) + tlv(2, b"a"))
    for name, data in (
        ("tcp4", b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\nGET"),
        ("tcp6", b"PROXY TCP6 2001:db8::7 ::1 51234 443\r\n"),
        ("unknown", b"PROXY UNKNOWN\r\n"),
        ("unknown_more", b"PROXY UNKNOWN a b c d\r\n\r\n"),
        ("v1_fields", b"PROXY TCP4 192.0.2.7 198.51.100.1 51234\r\n"),
        ("v1_port", b"PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n"),
        ("v1_zone", b"PROXY TCP6 fe80::1%1 ::1 1 2\r\n"),
        ("v1_long", b"PROXY UNKNOWN " + b"x" * 200),
        ("http", b"GET / HTTP/1.1\r\n\r\n"),
        ("not_v2", b"\r\nGET"),
        ("local", v2(0x20, 0, b"") + b"GET"),
        ("ipv4", v2(0x21, 0x11, ipv4) + b"GET"),
        ("udp6", v2(0x21, 0x22, ipv6)),
        ("unix", v2(0x21, 0x31, b"/run/x".ljust(108, b"\0") + bytes(108))),
        ("abstract", v2(0x21, 0x31, b"\0name".ljust(108, b"\0") + bytes(108))),
        ("unspec", v2(0x21, 0, tlv(4, b"padding"))),
        ("short", v2(0x21, 0x21, ipv4)),
        ("family", v2(0x21, 0x41, ipv4)),
        ("command", v2(0x22, 0x11, ipv4)),
        ("long", v2(0x21, 0x11, b"")[:14] + b"\xff\xff"),
        ("tlvs", v2(0x21, 0x11, ipv4 + tlv(1, b"h2") + tlv(2, b"example.org") + tlv(5, b"id"))),
        ("ssl", v2(0x21, 0x11, ipv4 + tlv(0x20, ssl))),
        ("ssl_short", v2(0x21, 0x11, ipv4 + tlv(0x20, b"\x01"))),
        ("ssl_bad", v2(0x21, 0x11, ipv4 + tlv(0x20, ssl + b"x"))),
        ("tlv_bad", v2(0x21, 0x11, ipv4 + b"\x02\x00\x09a")),
        ("authority_bad", v2(0x21, 0x11, ipv4 + tlv(2, b"a\n"))),
        ("twice", v2(0x21, 0x11, ipv4 + tlv(5, b"a") + tlv(5, b"b"))),
        ("crc_bad", zeros),
        ("crc_short", v2(0x21, 0x11, ipv4 + tlv(3, b"x"))),
        ("crc", zeros.replace(tlv(3, bytes(4)), tlv(3, crc32c(zeros)))),
    ):
        save("proxy_header_fuzz", name, data)


http_connect()
socks5()
forwarded()
proxy_header()
no_proxy()
proxy_urls()
redirects()

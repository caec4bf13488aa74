// The rules by which trusted proxies lead to the client of a request, as tables.
#include "server/told.h"

#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <vector>

namespace tern::server {
namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;

const std::vector<std::string> proxies{"10.0.0.0/8", "fd00::/8", "unix:"};

// "address scheme host", with '-' for a part that is not told.
std::string told(const Lines& lines, TrustedHeader header,
                 const std::vector<std::string>& trusted = proxies) {
  std::vector<HeaderField> fields;
  for (const auto& [name, value] : lines) fields.push_back({name, value});
  const Told told = told_by_proxies(fields, header, TrustedPeers(trusted));
  const std::string scheme = !told.secure ? "-" : *told.secure ? "https" : "http";
  return (told.address.empty() ? "-" : told.address) + ' ' + scheme + ' ' +
         (told.host.empty() ? "-" : told.host);
}

std::string client_of(const std::string& chain) {
  const std::string all = told({{"X-Forwarded-For", chain}}, TrustedHeader::x_forwarded);
  return all.substr(0, all.find(' '));
}

TEST(ServerTold, XForwardedForLeadsToTheLastAddressThatIsNotTrusted) {
  const std::pair<const char*, const char*> rows[] = {
      {"203.0.113.7", "203.0.113.7"},
      {"203.0.113.7:51234", "203.0.113.7:51234"},
      {"[2001:DB8::7]:51234", "[2001:db8::7]:51234"},
      {"2001:DB8::7", "2001:db8::7"},
      {"[2001:db8::7]", "2001:db8::7"},
      {"::ffff:203.0.113.7", "203.0.113.7"},
      {"203.0.113.7, 10.0.0.2, 10.0.0.1", "203.0.113.7"},
      {"203.0.113.7, fd00::1, ::ffff:10.0.0.1", "203.0.113.7"},
      {"198.51.100.1, 203.0.113.7", "203.0.113.7"},
      {"198.51.100.1, 203.0.113.7, 10.0.0.1", "203.0.113.7"},
      {"10.0.0.9, 203.0.113.7, 10.0.0.1", "203.0.113.7"},
      // All are trusted: the first one counts.
      {"10.0.0.3, 10.0.0.2, 10.0.0.1", "10.0.0.3"},
      {"10.0.0.3", "10.0.0.3"},
      // Nothing before an entry that cannot be read is believed.
      {"203.0.113.7, x, 10.0.0.1", "10.0.0.1"},
      {"203.0.113.7, x", "-"},
      {"x, 203.0.113.7", "203.0.113.7"},
      {"\", 203.0.113.7", "203.0.113.7"},
      {"10.0.0.2, 10.0.0.256, 10.0.0.1", "10.0.0.1"},
      {"203.0.113.7, localhost", "-"},
      {"", "-"},
      {",,", "-"},
      {"203.0.113.7, ", "203.0.113.7"},
      // A hidden client ends the chain.
      {"unknown", "unknown"},
      {"203.0.113.7, unknown, 10.0.0.1", "unknown"},
      {"_a1b2, 10.0.0.1", "_a1b2"},
      {"203.0.113.7, unix:", "203.0.113.7"},
      {"unix:", "unix:"},
  };
  for (const auto& [chain, client] : rows) EXPECT_EQ(client_of(chain), client) << chain;
  const std::vector<std::string> no_unix{"10.0.0.0/8"};
  EXPECT_EQ(told({{"X-Forwarded-For", "203.0.113.7, unix:"}}, TrustedHeader::x_forwarded, no_unix),
            "unix: - -");
  // Several fields are one list, in any case and with others between.
  EXPECT_EQ(told({{"x-forwarded-for", "198.51.100.1"},
                  {"Accept", "10.0.0.9"},
                  {"X-FORWARDED-FOR", "203.0.113.7, 10.0.0.2"},
                  {"X-Forwarded-For", "10.0.0.1"}},
                 TrustedHeader::x_forwarded),
            "203.0.113.7 - -");
}

TEST(ServerTold, TheSchemeAndTheHostAreThoseThatTheClientUsed) {
  const std::string chain = "X-Forwarded-For";
  const std::string proto = "X-Forwarded-Proto";
  const std::string host = "X-Forwarded-Host";
  const std::pair<Lines, std::string> rows[] = {
      {{{proto, "https"}, {host, "example.org"}}, "- https example.org"},
      {{{chain, "203.0.113.7"}, {proto, "HTTPS"}, {host, "example.org:8443"}},
       "203.0.113.7 https example.org:8443"},
      {{{chain, "203.0.113.7, 10.0.0.1"}, {proto, "wss"}, {host, "[::1]:80"}},
       "203.0.113.7 https [::1]:80"},
      {{{proto, "http"}}, "- http -"},
      {{{proto, "ws"}}, "- http -"},
      {{{proto, "ftp"}}, "- - -"},
      {{{proto, ""}}, "- - -"},
      {{{proto, "https; x"}}, "- - -"},
      {{{host, "a b"}}, "- - -"},
      {{{host, "user@example.org"}}, "- - -"},
      {{{host, "example.org/path"}}, "- - -"},
      {{{host, "example.org:99999"}}, "- - -"},
      // As many elements as addresses: those of the client's place.
      {{{chain, "203.0.113.7, 10.0.0.1"}, {proto, "https, http"}, {host, "outer, inner"}},
       "203.0.113.7 https outer"},
      {{{chain, "198.51.100.1, 203.0.113.7, 10.0.0.1"}, {proto, "https, http, https"}},
       "203.0.113.7 http -"},
      {{{chain, "203.0.113.7"}, {chain, "10.0.0.1"}, {proto, "https"}, {proto, "http"}},
       "203.0.113.7 https -"},
      // Another number of elements: the last one is from the nearest proxy.
      {{{chain, "203.0.113.7"}, {proto, "https, http"}, {host, "evil, good"}},
       "203.0.113.7 http good"},
      {{{chain, "198.51.100.1, 203.0.113.7, 10.0.0.1"}, {proto, "http, https"}},
       "203.0.113.7 https -"},
      {{{chain, "198.51.100.1, x"}, {proto, "http, https"}}, "- https -"},
      {{{"Forwarded", "for=198.51.100.1;proto=https;host=evil"}}, "- - -"},
  };
  for (const auto& [lines, wanted] : rows) {
    EXPECT_EQ(told(lines, TrustedHeader::x_forwarded), wanted) << testing::PrintToString(lines);
  }
}

TEST(ServerTold, Rfc7239_8_1_ForwardedLeadsToTheLastAddressThatIsNotTrusted) {
  const std::pair<Lines, std::string> rows[] = {
      {{}, "- - -"},
      {{{"Forwarded", "for=203.0.113.7;proto=https;host=example.org"}},
       "203.0.113.7 https example.org"},
      {{{"Forwarded", R"(for="203.0.113.7:51234";host="example.org:8443";proto=http)"}},
       "203.0.113.7:51234 http example.org:8443"},
      {{{"forwarded", R"(FOR="[2001:DB8::7]:_p"; PROTO="https")"}}, "2001:db8::7 https -"},
      {{{"Forwarded", "for=203.0.113.7;proto=https;host=outer, for=10.0.0.1;proto=http;host=in"}},
       "203.0.113.7 https outer"},
      {{{"Forwarded", "for=203.0.113.7;proto=https"}, {"Forwarded", "for=10.0.0.1;proto=http"}},
       "203.0.113.7 https -"},
      {{{"Forwarded", "for=198.51.100.1;proto=https, for=203.0.113.7;proto=http, for=10.0.0.1"}},
       "203.0.113.7 http -"},
      // Each proxy knows only what it received: the nearer one does not know the client's scheme.
      {{{"Forwarded", "for=203.0.113.7, for=10.0.0.1;proto=https;host=in"}}, "203.0.113.7 - -"},
      {{{"Forwarded", "for=10.0.0.3;host=a, for=10.0.0.2;host=b"}}, "10.0.0.3 - a"},
      {{{"Forwarded", "for=203.0.113.7, for=_hidden;proto=https, for=10.0.0.1"}},
       "_hidden https -"},
      {{{"Forwarded", "for=203.0.113.7, for=unknown;host=h"}}, "unknown - h"},
      {{{"Forwarded", "for=203.0.113.7;proto=http, proto=https, for=10.0.0.1"}},
       "10.0.0.1 https -"},
      {{{"Forwarded", "proto=https;host=h"}}, "- https h"},
      {{{"Forwarded", "by=203.0.113.43"}}, "- - -"},
      // An element that cannot be read, and all before it, is not believed.
      {{{"Forwarded", "for=203.0.113.7;proto=https, for=, for=10.0.0.1;proto=http"}},
       "10.0.0.1 http -"},
      {{{"Forwarded", "for=203.0.113.7:80;proto=https"}}, "- - -"},
      {{{"Forwarded", R"(for="203.0.113.7, for=10.0.0.1)"}}, "10.0.0.1 - -"},
      {{{"Forwarded", R"(", for=203.0.113.7;host="a")"}}, "203.0.113.7 - a"},
      {{{"Forwarded", R"(for="10.0.0.2, for=203.0.113.7;host="a,b")"}}, "203.0.113.7 - a,b"},
      {{{"Forwarded", "for=example.org"}}, "- - -"},
      {{{"X-Forwarded-For", "198.51.100.1"}, {"X-Forwarded-Proto", "https"}}, "- - -"},
  };
  for (const auto& [lines, wanted] : rows) {
    EXPECT_EQ(told(lines, TrustedHeader::forwarded), wanted) << testing::PrintToString(lines);
  }
}

TEST(ServerTrustedPeers, EntriesAreNetworksOrUnixSockets) {
  for (const char* entry : {"127.0.0.1", "10.0.0.0/8", "::1", "[::1]", "fd00::/8", "unix:"}) {
    EXPECT_EQ(TrustedPeers::why_invalid(entry), "") << entry;
  }
  EXPECT_EQ(TrustedPeers::why_invalid("unix:/run/app.sock"),
            "names a Unix socket, and its peers have no names: write \"unix:\"");
  EXPECT_EQ(TrustedPeers::why_invalid("10.0.0.0/33"), "is no network: write \"10.0.0.0/8\"");
  // Such an entry trusts more addresses than the one in it.
  const std::pair<const char*, const char*> with_bits[] = {
      {"10.0.0.1/8", "10.0.0.0/8"},          {"192.0.2.7/31", "192.0.2.6/31"},
      {"127.0.0.1/0", "0.0.0.0/0"},          {"[2001:db8::1]/33", "2001:db8::/33"},
      {"::ffff:10.0.0.1/104", "10.0.0.0/8"},
  };
  for (const auto& [entry, network] : with_bits) {
    EXPECT_EQ(TrustedPeers::why_invalid(entry),
              "has bits behind its prefix: write \"" + std::string(network) + '"');
    EXPECT_EQ(TrustedPeers::why_invalid(network), "");
  }
  for (const char* entry : {"", "localhost", "example.org", "*", "10.0.0.1:80", "unix"}) {
    EXPECT_EQ(TrustedPeers::why_invalid(entry),
              "is no numeric address: write \"127.0.0.1\", \"10.0.0.0/8\" or \"unix:\"")
        << entry;
  }
  EXPECT_TRUE(TrustedPeers().empty());
  EXPECT_FALSE(TrustedPeers({"unix:"}).empty());
  EXPECT_TRUE(TrustedPeers({"unix:"}).contains(net::Peer{.is_unix = true}));
  EXPECT_FALSE(TrustedPeers({"0.0.0.0/0"}).contains(net::Peer{.is_unix = true}));
  EXPECT_FALSE(TrustedPeers({"0.0.0.0/0", "unix:"}).contains(net::Peer{})) << "the peer has gone";
  EXPECT_TRUE(
      TrustedPeers({"10.0.0.0/8"}).contains(net::Peer{*net::Address::parse("10.1.1.1", 1)}));
}

}  // namespace
}  // namespace tern::server

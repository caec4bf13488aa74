// The list NO_PROXY: which hosts and ports a client connects to without the proxy. No name is
// resolved.
#include "client/no_proxy.h"

#include <gtest/gtest.h>
#include <string_view>

namespace {

using tern::client::NoProxy;

struct Row {
  std::string_view list;
  std::string_view host;
  std::uint16_t port;
  bool matches;
};

void check(std::initializer_list<Row> rows) {
  for (const Row& row : rows) {
    EXPECT_EQ(NoProxy(row.list).matches(row.host, row.port), row.matches)
        << '"' << row.list << "\" " << row.host << ':' << row.port;
  }
}

TEST(NoProxy, ANameMatchesItselfAndItsSubdomains) {
  check({
      {"example.org", "example.org", 80, true},
      {"example.org", "a.example.org", 80, true},
      {"example.org", "b.a.example.org", 80, true},
      {"example.org", "notexample.org", 80, false},
      {"example.org", "org", 80, false},
      {"example.org", "example.org.evil", 80, false},
      {".example.org", "example.org", 80, true},
      {".example.org", "a.example.org", 80, true},
      {".example.org", "aexample.org", 80, false},
      {"*.example.org", "example.org", 80, false},
      {"*.example.org", "a.example.org", 80, true},
      {"localhost", "localhost", 80, true},
      {"a*b", "axb", 80, false},
  });
}

TEST(NoProxy, Rfc4343_CaseAndADotAtTheEndDoNotCount) {
  check({
      {"EXAMPLE.org", "example.ORG", 80, true},
      {"example.org.", "a.example.org", 80, true},
      {"example.org", "example.org.", 80, true},
  });
}

TEST(NoProxy, AStarMatchesEveryHostAnywhereInTheList) {
  check({
      {"*", "example.org", 80, true},
      {"*", "::1", 80, true},
      {" a.test , * ", "example.org", 443, true},
      {"*:8080", "example.org", 8080, true},
      {"*:8080", "example.org", 80, false},
  });
}

TEST(NoProxy, EntriesAreSeparatedByCommasAndBlanks) {
  check({
      {"a.test,b.test", "b.test", 80, true},
      {"a.test b.test", "b.test", 80, true},
      {",, a.test ,\t,b.test\n", "b.test", 80, true},
      {"", "a.test", 80, false},
      {" , ", "a.test", 80, false},
  });
}

TEST(NoProxy, AnAddressOrABlockMatchesOnlyAnAddress) {
  check({
      {"127.0.0.1", "127.0.0.1", 80, true},
      {"127.0.0.1", "127.0.0.2", 80, false},
      {"127.0.0.1", "localhost", 80, false},  // because no name is resolved
      {"10.0.0.0/8", "10.9.8.7", 80, true},
      {"10.0.0.0/8", "11.9.8.7", 80, false},
      {"10.0.0.0/33", "10.9.8.7", 80, false},
      {"::1", "::1", 80, true},
      {"[::1]", "::1", 80, true},
      {"fd00::/8", "fd12::1", 80, true},
      {"10.0.0.0/8", "::ffff:10.1.1.1", 80, true},
      {"0.1", "10.0.0.1", 80, false},  // no subdomain: addresses have none
  });
}

TEST(NoProxy, APortRestrictsAnEntry) {
  check({
      {"example.org:8080", "example.org", 8080, true},
      {"example.org:8080", "a.example.org", 8080, true},
      {"example.org:8080", "example.org", 80, false},
      {"10.0.0.0/8:443", "10.1.1.1", 443, true},
      {"10.0.0.0/8:443", "10.1.1.1", 80, false},
      {"[::1]:9001", "::1", 9001, true},
      {"[::1]:9001", "::1", 9002, false},
      {"example.org:", "example.org", 80, false},
      {"example.org:99999", "example.org", 80, false},
      {"example.org:http", "example.org", 80, false},
  });
}

TEST(NoProxy, LoopbackIsNotImplied) {
  check({{"example.org", "localhost", 80, false}, {"example.org", "127.0.0.1", 80, false}});
}

TEST(NoProxy, AnEntryThatIsNoneMatchesNothing) {
  for (const std::string_view list :
       {".", "*.", "..", "a/b", "http://a.test", "a@b", "[::1", ":80"}) {
    for (const std::string_view host : {"a", "a.test", "b", "::1", "127.0.0.1"}) {
      EXPECT_FALSE(NoProxy(list).matches(host, 80)) << list << ' ' << host;
    }
  }
}

}  // namespace

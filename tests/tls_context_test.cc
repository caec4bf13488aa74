// Contexts of TLS: loading, the check of certificates by both sides, names, and resumption.
#include "support/tls_pair.h"
#include "tls/context.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using State = net::Transport::State;

const Authority& authority() {
  static const Authority made;
  return made;
}

std::string load_error(const TlsServer& options) {
  const auto loaded = tls::ServerContext::load(options);
  return loaded ? "" : loaded.error().message();
}
std::string load_error(const TlsClient& options) {
  const auto loaded = tls::ClientContext::load(options);
  return loaded ? "" : loaded.error().message();
}

// ---- faults that are found when certificates are loaded

struct BadSetup {
  const char* name;
  TlsServer options;
  std::vector<std::string> reasons;  // parts of the error
};

std::vector<BadSetup> bad_setups(const PemFiles& files) {
  const Identity& leaf = authority().leaf;
  const Identity other({.common_name = "other"});
  const std::string cert = files.write("cert.pem", leaf.certificate());
  const std::string key = files.write("key.pem", leaf.key());
  const std::string text = files.write("text.pem", "hello\n");
  std::string damaged = leaf.certificate();
  damaged[damaged.find('\n') + 5] = '*';
  const std::string bad = files.write("damaged.pem", damaged);
  const std::string locked = files.write("locked.pem", leaf.encrypted_key());
  const std::string others = files.write("other.pem", other.key());
  const std::string none = files.path("absent.pem");
  return {
      {"no options", {}, {"no certificate is given"}},
      {"no such certificate", {none, key}, {"certificate file " + none, "No such file"}},
      {"no such key", {cert, none}, {"private key file " + none, "No such file"}},
      {"a directory", {files.path(""), key}, {"certificate file " + files.path("")}},
      {"no PEM", {text, key}, {"certificate file " + text, "holds no certificate"}},
      {"no key in it", {cert, text}, {"private key file " + text, "holds no private key"}},
      {"no key beside it", {cert}, {"certificate file " + cert, "holds no private key"}},
      {"damaged", {bad, key}, {"certificate file " + bad, "is damaged", "base64"}},
      {"encrypted", {cert, locked}, {locked, "is encrypted", "openssl pkey"}},
      {"the key of another certificate",
       {cert, others},
       {others, "does not belong", "CN=localhost", cert}},
      {"no CA for client certificates",
       {.certificate = cert,
        .private_key = key,
        .client_certificates = ClientCertificates::required},
       {"client_ca_file"}},
      {"a CA, but no client certificates",
       {.certificate = cert, .private_key = key, .client_ca_pem = leaf.certificate()},
       {"client_ca_file is given, but client_certificates is none"}},
      {"a fault in the second certificate",
       {.certificate = cert, .private_key = key, .more = {{cert, others}}},
       {others, "does not belong"}},
  };
}

TEST(TlsContext, LoadingAServerReportsEachFault) {
  const PemFiles files;
  for (const BadSetup& setup : bad_setups(files)) {
    SCOPED_TRACE(setup.name);
    const std::string error = load_error(setup.options);
    for (const std::string& part : setup.reasons) {
      EXPECT_NE(error.find(part), std::string::npos) << part << "\n" << error;
    }
    EXPECT_EQ(ERR_peek_error(), 0u);
  }
}

TEST(TlsContext, LoadsFilesAndTextAndACombinedFile) {
  const PemFiles files;
  const Identity& leaf = authority().leaf;
  const std::string both = leaf.key() + leaf.certificate();
  EXPECT_EQ(
      load_error(TlsServer{files.write("c", leaf.certificate()), files.write("k", leaf.key())}),
      "");
  EXPECT_EQ(load_error(TlsServer{.certificate = files.write("b", both)}), "");
  EXPECT_EQ(load_error(TlsServer{.certificate_pem = both}), "");
  EXPECT_EQ(load_error(server_of(leaf)), "");
  // If text and a file are given, the text is used.
  EXPECT_EQ(load_error(TlsServer{.certificate = "absent.pem", .certificate_pem = both}), "");
}

TEST(TlsContext, LoadingAClientReportsEachFault) {
  const PemFiles files;
  const std::string none = files.path("absent.pem");
  EXPECT_NE(load_error(TlsClient{.ca_file = none}).find("CA file " + none), std::string::npos);
  EXPECT_NE(load_error(TlsClient{.ca_pem = "x"}).find("CA text holds no certificate"),
            std::string::npos);
  for (const std::string pin :
       {"", "abc", "sha256//abc", "sha256//****************************************KCk="}) {
    EXPECT_NE(load_error(TlsClient{.pinned_keys = {pin}}).find("pinned key"), std::string::npos);
  }
  EXPECT_EQ(load_error(TlsClient{.pinned_keys = {"sha256//" + authority().leaf.pin()}}), "");
  EXPECT_EQ(load_error(TlsClient{}), "");
  EXPECT_NE(load_error(TlsClient{.certificate = {.private_key_pem = authority().leaf.key()}})
                .find("a private key is given without its certificate"),
            std::string::npos);
}

// ---- a client accepts or refuses a server's certificate

struct Verdict {
  const char* name;
  Identity shown;
  TlsClient client;
  std::string host = "localhost";
  std::vector<std::string> reasons{};  // parts of the error; empty: accepted
};

std::vector<Verdict> acceptances() {
  const Authority& ours = authority();
  const TlsClient trust = trusting(ours.ca);
  const std::string ca = ours.ca.certificate();
  const Identity stranger({.common_name = "stranger"});
  std::vector<Verdict> all;
  all.push_back({"good", ours.issue({}), trust});
  all.push_back({"in another case", ours.issue({}), trust, "LocalHost"});
  all.push_back({"address", ours.issue({}), trust, "127.0.0.1"});
  all.push_back({"IPv6 address", ours.issue({.names = "IP:::1"}), trust, "::1"});
  all.push_back({"wildcard", ours.issue({.names = "DNS:*.tern.test"}), trust, "a.tern.test"});
  all.push_back({"itself trusted", stranger, {.ca_pem = stranger.certificate()}});
  all.push_back({"leaf trusted, not its CA", ours.leaf, {.ca_pem = ours.leaf.certificate()}});
  all.push_back({"pinned", ours.leaf, {.ca_pem = ca, .pinned_keys = {ours.leaf.pin()}}});
  all.push_back({"the second of two pins",
                 ours.leaf,
                 {.ca_pem = ca, .pinned_keys = {stranger.pin(), ours.leaf.pin()}}});
  all.push_back(
      {"pinned and else unverified",
       stranger,
       {.pinned_keys = {"sha256//" + stranger.pin()}, .insecure_accept_any_certificate = true},
       "other.test"});
  all.push_back({"anything", stranger, {.insecure_accept_any_certificate = true}, "other.test"});
  return all;
}

std::vector<Verdict> refusals() {
  const Authority& ours = authority();
  const TlsClient trust = trusting(ours.ca);
  const Identity stranger({.common_name = "stranger"});
  std::vector<Verdict> all;
  all.push_back({"expired",
                 ours.issue({.valid_from = -9, .valid_until = -2}),
                 trust,
                 "localhost",
                 {"certificate of CN=tern test", "expired on", "renew it"}});
  all.push_back({"not yet valid",
                 ours.issue({.valid_from = 2}),
                 trust,
                 "localhost",
                 {"certificate of CN=tern test", "not valid before", "clock"}});
  all.push_back({"wrong host",
                 ours.issue({.common_name = "a"}),
                 trust,
                 "b.tern.test",
                 {"certificate of CN=a", "hostname mismatch", "expected b.tern.test",
                  "localhost, 127.0.0.1"}});
  all.push_back({"wrong address",
                 ours.issue({}),
                 trust,
                 "127.0.0.2",
                 {"hostname mismatch", "expected 127.0.0.2"}});
  all.push_back({"wildcard too deep",
                 ours.issue({.names = "DNS:*.tern.test"}),
                 trust,
                 "a.b.tern.test",
                 {"hostname mismatch", "*.tern.test"}});
  all.push_back({"wildcard for a part of a label",
                 ours.issue({.names = "DNS:a*.tern.test"}),
                 trust,
                 "ab.tern.test",
                 {"hostname mismatch", "a*.tern.test"}});
  all.push_back({"self-signed",
                 stranger,
                 trust,
                 "localhost",
                 {"certificate of CN=stranger", "self-signed", "ca_file"}});
  const Identity other_ca({.common_name = "other CA", .names = "", .ca = true});
  all.push_back({"unknown CA",
                 Identity({}, &other_ca),
                 trust,
                 "localhost",
                 {"certificate of CN=tern test", "issuer CN=other CA is not known", "ca_file"}});
  all.push_back({"a CA that the system's store does not contain",
                 ours.issue({}),
                 {},
                 "localhost",
                 {"is not known"}});
  return all;
}

// A name in the subject does not count (RFC 9525 §2).
std::vector<Verdict> refusals_of_subjects() {
  const Authority& ours = authority();
  const TlsClient trust = trusting(ours.ca);
  std::vector<Verdict> all;
  all.push_back(
      {"name in the subject only",
       ours.issue({.common_name = "localhost", .names = ""}),
       trust,
       "localhost",
       {"certificate of CN=localhost", "hostname mismatch", "no name at all", "subject"}});
  all.push_back({"address in the subject only",
                 ours.issue({.common_name = "127.0.0.1", .names = ""}),
                 trust,
                 "127.0.0.1",
                 {"certificate of CN=127.0.0.1", "hostname mismatch", "no name at all"}});
  all.push_back({"name in the subject beside an address",
                 ours.issue({.common_name = "localhost", .names = "IP:127.0.0.1"}),
                 trust,
                 "localhost",
                 {"certificate of CN=localhost", "hostname mismatch", "it is for 127.0.0.1"}});
  all.push_back({"an address as a DNS name",
                 ours.issue({.names = "DNS:127.0.0.1"}),
                 trust,
                 "127.0.0.1",
                 {"hostname mismatch", "it is for 127.0.0.1 as a DNS name"}});
  all.push_back({"wildcard in the subject only",
                 ours.issue({.common_name = "*.tern.test", .names = ""}),
                 trust,
                 "a.tern.test",
                 {"hostname mismatch", "no name at all"}});
  return all;
}

std::vector<Verdict> refusals_of_pins() {
  const Authority& ours = authority();
  const std::string ca = ours.ca.certificate();
  const Identity stranger({.common_name = "stranger"});
  std::vector<Verdict> all;
  all.push_back({"pinned, and its CA is unknown",
                 stranger,
                 {.ca_pem = ca, .pinned_keys = {stranger.pin()}},
                 "localhost",
                 {"certificate of CN=stranger", "self-signed"}});
  all.push_back({"another pin, and else unverified",
                 stranger,
                 {.pinned_keys = {ours.leaf.pin()}, .insecure_accept_any_certificate = true},
                 "localhost",
                 {"certificate of CN=stranger", "none of the pinned keys"}});
  all.push_back({"another pin",
                 ours.issue({}),
                 {.ca_pem = ca, .pinned_keys = {stranger.pin()}},
                 "localhost",
                 {"certificate of CN=tern test", "none of the pinned keys", "sha256//"}});
  return all;
}

TEST(TlsContext, Rfc9525_AClientChecksNameTrustAndPin) {
  std::vector<Verdict> all = acceptances();
  for (Verdict& refusal : refusals()) all.push_back(std::move(refusal));
  for (Verdict& refusal : refusals_of_subjects()) all.push_back(std::move(refusal));
  for (Verdict& refusal : refusals_of_pins()) all.push_back(std::move(refusal));
  for (const Verdict& verdict : all) {
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      SCOPED_TRACE(verdict.name + std::to_string(version));
      TlsPair pair(server_of(verdict.shown), verdict.client, verdict.host);
      pair.only_version(version);
      pair.client.to_write = "hello";
      pair.run();
      if (verdict.reasons.empty()) {
        EXPECT_EQ(pair.server.got, "hello") << pair.client.tls->explanation();
        continue;
      }
      EXPECT_EQ(pair.server.got, "");
      EXPECT_EQ(pair.client.last.error, Errc::tls_certificate_refused);
      EXPECT_EQ(pair.client.tls->peer_subject(), "") << "the subject of a refused certificate";
      const std::string why = pair.client.tls->explanation();
      for (const std::string& part : verdict.reasons) {
        EXPECT_NE(why.find(part), std::string::npos) << part << "\n" << why;
      }
    }
  }
}

TEST(TlsContext, AServerSendsItsIntermediates) {
  const Authority& ours = authority();
  const Identity middle({.common_name = "middle", .names = "", .ca = true}, &ours.ca);
  const Identity leaf({.common_name = "leaf"}, &middle);
  TlsPair pair(
      {.certificate_pem = leaf.certificate() + middle.certificate(), .private_key_pem = leaf.key()},
      trusting(ours.ca));
  pair.shake_hands();
}

// ---- names

std::string subject_shown_to(TlsPair& pair) {
  pair.shake_hands();
  return pair.client.tls->peer_subject();
}

TEST(TlsContext, Rfc6066_3_AServerChoosesItsCertificateByName) {
  const Authority& ours = authority();
  const Identity a = ours.issue({.common_name = "a", .names = "DNS:a.test,DNS:aa.test"});
  const Identity b = ours.issue({.common_name = "b", .names = "DNS:*.b.test"});
  TlsServer server = server_of(ours.leaf);
  for (const Identity* more : {&a, &b}) {
    server.more.push_back({.certificate_pem = more->certificate(), .private_key_pem = more->key()});
  }
  const std::pair<const char*, const char*> names[] = {{"localhost", "CN=localhost"},
                                                       {"127.0.0.1", "CN=localhost"},
                                                       {"a.test", "CN=a"},
                                                       {"AA.test", "CN=a"},
                                                       {"x.b.test", "CN=b"}};
  for (const auto& [name, subject] : names) {
    SCOPED_TRACE(name);
    TlsPair pair(server, trusting(ours.ca), name);
    EXPECT_EQ(subject_shown_to(pair), subject);
  }
  // A name in the subject does not count (RFC 9525 §2).
  const Identity subject_only = ours.issue({.common_name = "c.test", .names = ""});
  server.more.push_back(
      {.certificate_pem = subject_only.certificate(), .private_key_pem = subject_only.key()});
  for (const char* name : {"nobody.test", "c.test"}) {
    TlsPair stranger(server, trusting(ours.ca), name);
    stranger.client.to_write = "hello";
    stranger.run();
    EXPECT_NE(stranger.client.tls->explanation().find("CN=localhost: hostname mismatch"),
              std::string::npos)
        << stranger.client.tls->explanation();
  }
}

TEST(TlsContext, Rfc6066_3_AClientSendsTheNameButNoAddress) {
  const Identity leaf =
      authority().issue({.names = "DNS:localhost,IP:127.0.0.1,IP:0:0:0:0:0:0:0:1"});
  const std::pair<const char*, const char*> names[] = {
      {"localhost", "localhost"}, {"127.0.0.1", nullptr}, {"::1", nullptr}};
  for (const auto& [dialled, sent] : names) {
    SCOPED_TRACE(dialled);
    TlsPair pair(server_of(leaf), trusting(authority().ca), dialled);
    pair.shake_hands();
    EXPECT_STREQ(SSL_get_servername(pair.server.ssl, TLSEXT_NAMETYPE_host_name), sent);
  }
}

// ---- ALPN

TEST(TlsContext, Rfc7301_3_2_AServerChoosesOnlyHttp11) {
  struct Case {
    std::string offered;
    const char* chosen;  // null: refused
  };
  const Case cases[] = {{"", ""},
                        {"\x08http/1.1", "http/1.1"},
                        {"\x02h2\x08http/1.1", "http/1.1"},
                        {"\x02h2", nullptr},
                        {"\x08http/1.0\x02h2", nullptr}};
  for (const Case& given : cases) {
    SCOPED_TRACE(given.offered);
    TlsPair pair(server_of(authority().leaf), trusting(authority().ca));
    SSL& ssl = *pair.client.ssl;
    SSL_set_alpn_protos(&ssl, reinterpret_cast<const unsigned char*>(given.offered.data()),
                        static_cast<unsigned>(given.offered.size()));
    pair.client.to_write = "hello";
    pair.run();
    if (given.chosen == nullptr) {
      EXPECT_EQ(pair.server.last.error, Errc::tls_failed);
      EXPECT_NE(pair.client.tls->explanation().find("no application protocol"), std::string::npos)
          << pair.client.tls->explanation();
      continue;
    }
    EXPECT_EQ(pair.server.got, "hello");
    const unsigned char* chosen = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(&ssl, &chosen, &size);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(chosen), size), given.chosen);
  }
}

TEST(TlsContext, AClientOffersHttp11) {
  TlsPair pair(server_of(authority().leaf), trusting(authority().ca));
  pair.shake_hands();
  const unsigned char* chosen = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(pair.client.ssl, &chosen, &size);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(chosen), size), "http/1.1");
}

// ---- resumption

struct Dials {
  std::shared_ptr<tls::ServerContext> server;
  TlsClient client;

  bool resumed(int version, const std::string& name = "localhost") {
    auto context =
        client.memory ? client.memory->contexts().get(client) : tls::ClientContext::load(client);
    TlsPair pair(server, *context, name);
    pair.only_version(version);
    pair.shake_hands();
    pair.server.to_write = "so that tickets are read";
    pair.run();
    EXPECT_EQ(pair.client.resumed(), pair.server.resumed());
    return pair.client.resumed();
  }
};

TEST(TlsContext, DialsThatShareAMemoryResumeSessions) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    SCOPED_TRACE(version);
    Dials dials{*tls::ServerContext::load(server_of(authority().leaf)), trusting(authority().ca)};
    EXPECT_FALSE(dials.resumed(version));
    EXPECT_FALSE(dials.resumed(version)) << "dials without a memory share nothing";
    dials.client.memory = std::make_shared<TlsMemory>();
    EXPECT_FALSE(dials.resumed(version));
    EXPECT_TRUE(dials.resumed(version));
    EXPECT_TRUE(dials.resumed(version)) << "each connection brings a new ticket";
    EXPECT_FALSE(dials.resumed(version, "127.0.0.1")) << "another name";
    // A reload of the certificates makes earlier tickets useless.
    dials.server = *tls::ServerContext::load(server_of(authority().leaf));
    EXPECT_FALSE(dials.resumed(version));
  }
}

TEST(TlsContext, VerifiedDialsResumeNoUnverifiedSession) {
  Dials dials{*tls::ServerContext::load(server_of(Identity({}))), trusting(authority().ca)};
  dials.client.memory = std::make_shared<TlsMemory>();
  dials.client.insecure_accept_any_certificate = true;
  EXPECT_FALSE(dials.resumed(TLS1_3_VERSION));
  EXPECT_TRUE(dials.resumed(TLS1_3_VERSION));
  dials.client.insecure_accept_any_certificate = false;
  TlsPair pair(dials.server, *dials.client.memory->contexts().get(dials.client));
  pair.client.to_write = "hello";
  pair.run();
  EXPECT_EQ(pair.client.last.error, Errc::tls_certificate_refused);
}

TEST(TlsContext, ASessionBelongsToOneTrustPinAndIdentity) {
  const Authority& ours = authority();
  const Identity alice = ours.issue({.common_name = "alice", .names = ""});
  const auto server = *tls::ServerContext::load(server_of(ours.leaf));
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    std::vector<Dials> all(4, Dials{server, trusting(ours.ca)});
    all[1].client.pinned_keys = {ours.leaf.pin()};
    all[2].client.ca_pem += ours.leaf.certificate();
    all[3].client.certificate = {.certificate_pem = alice.certificate(),
                                 .private_key_pem = alice.key()};
    const auto memory = std::make_shared<TlsMemory>();
    for (Dials& dials : all) dials.client.memory = memory;
    for (const bool resumed : {false, true}) {
      for (Dials& dials : all) {
        SCOPED_TRACE(std::to_string(&dials - all.data()) + ", " + std::to_string(version));
        EXPECT_EQ(dials.resumed(version), resumed);
      }
    }
  }
}

// Two dials run at the same time, and neither has brought a new ticket yet.
TEST(TlsContext, Rfc8446_C4_ATicketIsUsedOnce) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    SCOPED_TRACE(version);
    Dials dials{*tls::ServerContext::load(server_of(authority().leaf)), trusting(authority().ca)};
    dials.client.memory = std::make_shared<TlsMemory>();
    EXPECT_FALSE(dials.resumed(version));
    const auto context = *dials.client.memory->contexts().get(dials.client);
    TlsPair one(dials.server, context);
    TlsPair other(dials.server, context);
    for (TlsPair* const pair : {&one, &other}) {
      pair->only_version(version);
      pair->client.to_write = "hello";
      pair->client.turn();  // both hellos are sent before the server answers
    }
    for (TlsPair* const pair : {&one, &other}) {
      pair->run();
      EXPECT_EQ(pair->server.got, "hello");
    }
    EXPECT_TRUE(one.client.resumed());
    EXPECT_EQ(other.client.resumed(), version == TLS1_2_VERSION);
  }
}

// ---- client certificates

TEST(TlsContext, AServerChecksClientCertificates) {
  const Authority& ours = authority();
  const Identity alice = ours.issue({.common_name = "alice", .names = ""});
  const Identity mallory({.common_name = "mallory", .names = ""});
  const Identity late = ours.issue({.common_name = "late", .valid_from = -9, .valid_until = -2});
  using enum ClientCertificates;
  struct Case {
    ClientCertificates wanted;
    const Identity* shown;
    const char* subject;  // null: refused
    const char* reason;
  };
  const Case cases[] = {
      {none, nullptr, "", ""},
      {none, &alice, "", ""},
      {optional, nullptr, "", ""},
      {optional, &alice, "CN=alice", ""},
      {optional, &mallory, nullptr, "certificate of CN=mallory: self-signed"},
      {required, &alice, "CN=alice", ""},
      {required, nullptr, nullptr, "the client sent no certificate"},
      {required, &mallory, nullptr, "certificate of CN=mallory: self-signed"},
      {required, &late, nullptr, "certificate of CN=late: expired"},
  };
  for (const Case& given : cases) {
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      SCOPED_TRACE(std::to_string(&given - cases) + ", " + std::to_string(version));
      TlsServer server = server_of(ours.leaf);
      server.client_certificates = given.wanted;
      if (given.wanted != none) server.client_ca_pem = ours.ca.certificate();
      TlsClient client = trusting(ours.ca);
      if (given.shown != nullptr) {
        client.certificate = {.certificate_pem = given.shown->certificate(),
                              .private_key_pem = given.shown->key()};
      }
      client.memory = std::make_shared<TlsMemory>();
      Dials dials{*tls::ServerContext::load(server), client};
      TlsPair pair(dials.server, *client.memory->contexts().get(client));
      pair.only_version(version);
      pair.client.to_write = "hello";
      pair.run();
      if (given.subject != nullptr) {
        EXPECT_EQ(pair.server.got, "hello") << pair.server.tls->explanation();
        EXPECT_EQ(pair.server.tls->peer_subject(), given.subject);
        continue;
      }
      EXPECT_EQ(pair.server.got, "");
      EXPECT_EQ(pair.server.last.error, Errc::tls_certificate_refused);
      EXPECT_NE(pair.server.tls->explanation().find(given.reason), std::string::npos)
          << pair.server.tls->explanation();
      // Without a certificate OpenSSL's server sends another alert over TLS 1.2: handshake_failure.
      const bool unclear = given.shown == nullptr && version == TLS1_2_VERSION;
      EXPECT_EQ(pair.client.last.error,
                unclear ? Errc::tls_failed : Errc::tls_own_certificate_refused)
          << "the client did not receive the alert";
      EXPECT_EQ(pair.server.tls->peer_subject(), "");
    }
  }
}

TEST(TlsContext, AResumedSessionKeepsTheVerifiedSubject) {
  const Authority& ours = authority();
  const Identity alice = ours.issue({.common_name = "alice, and \"bob\"", .names = ""});
  TlsServer server = server_of(ours.leaf);
  server.client_certificates = ClientCertificates::required;
  server.client_ca_pem = ours.ca.certificate();
  TlsClient client = trusting(ours.ca);
  client.certificate = {.certificate_pem = alice.certificate(), .private_key_pem = alice.key()};
  client.memory = std::make_shared<TlsMemory>();
  Dials dials{*tls::ServerContext::load(server), client};
  for (const bool resumed : {false, true}) {
    TlsPair pair(dials.server, *client.memory->contexts().get(client));
    pair.shake_hands();
    pair.server.to_write = "ticket";
    pair.run();
    EXPECT_EQ(pair.server.resumed(), resumed);
    EXPECT_EQ(pair.server.tls->peer_subject(), R"(CN=alice\, and \"bob\")");
  }
}

}  // namespace
}  // namespace tern::test

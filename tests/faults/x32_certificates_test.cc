// X32: invalid certificates: expired, not valid yet, for another name, by an unknown CA,
// self-signed, not the pinned one. Also a client that shows none or one of these, keys that do not
// belong to the certificate, and files that are missing or damaged when they are loaded again.
// Pass: both sides refuse each one, and the error or the log names the certificate and the reason.
// The server continues with the old certificate. Nothing leaks. CI has the full size, which takes a
// second.
#include "faults/support/tls_attacked.h"

#include <gtest/gtest.h>
#include <mutex>
#include <string>
#include <vector>

namespace tern::test {
namespace {

const Identity& stranger() {
  static const Identity ca({.common_name = "a stranger's CA", .names = "", .ca = true});
  return ca;
}
// It has the name of our CA, but another key.
const Identity& impostor() {
  static const Identity ca({.common_name = "tern test CA", .names = "", .ca = true});
  return ca;
}

struct Shown {
  const char* name;
  Identity identity;
  std::string reason;         // part of the error or of the log
  std::string server_name{};  // the expected name; empty: the dialed address
};

// Invalid certificates of a server or a client, except those that concern names.
std::vector<Shown> faulty() {
  const Authority& ours = authority();
  return {
      {"expired", ours.issue({.common_name = "old", .valid_from = -20, .valid_until = -10}),
       "certificate of CN=old: expired on "},
      {"not valid yet", ours.issue({.common_name = "early", .valid_from = 10}),
       "certificate of CN=early: not valid before "},
      {"by an unknown CA", Identity({.common_name = "foreign"}, &stranger()),
       "certificate of CN=foreign: its issuer CN=a stranger's CA is not known"},
      {"by an impostor", Identity({.common_name = "false"}, &impostor()),
       "certificate of CN=false: certificate signature failure"},
      {"self-signed", Identity({.common_name = "lonely"}),
       "certificate of CN=lonely: self-signed and not trusted"},
  };
}

// ---- a client refuses

TEST(Faults, X32_AClientRefusesAServersCertificate) {
  std::vector<Shown> table = faulty();
  table.push_back({"for another name",
                   authority().issue({.common_name = "other", .names = "DNS:other.test"}),
                   "certificate of CN=other: hostname mismatch: expected 127.0.0.1"});
  table.push_back(
      {"a name in the subject only", authority().issue({.common_name = "localhost", .names = ""}),
       "certificate of CN=localhost: hostname mismatch: expected localhost, it is for no "
       "name at all",
       "localhost"});
  table.push_back(
      {"an address in the subject only",
       authority().issue({.common_name = "127.0.0.1", .names = ""}),
       "certificate of CN=127.0.0.1: hostname mismatch: expected 127.0.0.1, it is for no "
       "name at all"});
  table.push_back({"not the pinned one", authority().issue({.common_name = "new key"}),
                   "certificate of CN=new key: its key is sha256//"});
  strike_tls_clients([&] {
    std::uint64_t refused = 0;
    for (const Shown& row : table) {
      for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        SCOPED_TRACE(row.name);
        DialOptions options = trusting();
        if (row.name == std::string("not the pinned one")) {
          options.tls.pinned_keys = {authority().leaf.pin()};
        }
        options.tls.server_name = row.server_name;
        bool served = false;
        TlsPeer peer(
            [&](TlsSocket& socket) {
              SSL_set_max_proto_version(socket.ssl(), version);
              served = socket.shake_hands() && !socket.receive().empty();
            },
            row.identity);
        const auto dialed = dial(peer.url(), options);
        peer.join();
        EXPECT_FALSE(served) << "a request was sent";
        EXPECT_FALSE(dialed);
        if (dialed) continue;
        EXPECT_EQ(dialed.error().code(), Errc::tls_certificate_refused);
        EXPECT_NE(dialed.error().message().find(row.reason), std::string::npos)
            << dialed.error().message();
        ++refused;
      }
    }
    return refused;
  });
}

// ---- a server refuses

class Log {
 public:
  LogSink sink() {
    return [this](const LogRecord& record) {
      const std::lock_guard lock(mutex_);
      (lines_ += record.message) += '\n';
    };
  }
  /// Waits until the lines since the last successful call contain this.
  bool contains(const std::string& part) {
    return eventually([&] {
      const std::lock_guard lock(mutex_);
      if (lines_.find(part) == lines_.npos) return false;
      std::string().swap(lines_);
      return true;
    });
  }

 private:
  std::mutex mutex_{};
  std::string lines_{};  // guarded by mutex_
};

class Demanding : public Attacked {
 public:
  explicit Demanding(Log& log) : Attacked(options(log)) {}

 private:
  static ServerOptions options(Log& log) {
    ServerOptions options = over_tls();
    options.tls->client_certificates = ClientCertificates::required;
    options.tls->client_ca_pem = authority().ca.certificate();
    options.log = log.sink();
    return options;
  }
};

DialOptions showing(const Identity* identity) {
  DialOptions options = trusting();
  if (identity != nullptr) {
    options.tls.certificate = {.certificate_pem = identity->certificate(),
                               .private_key_pem = identity->key()};
  }
  return options;
}

TEST(Faults, X32_AServerRefusesAClientsCertificate) {
  Log log;
  Demanding attacked(log);
  attacked.start();
  const Identity alice = authority().issue({.common_name = "alice", .names = ""});
  const std::vector<Shown> table = faulty();
  std::uint64_t refused = 0;
  const auto expect_refusal = [&](const Identity* shown, const std::string& reason) {
    const auto dialed = dial(attacked.url(), showing(shown));
    EXPECT_FALSE(dialed);
    if (!dialed) {
      // OpenSSL's alert for a false signature is decrypt_error, which has other causes too.
      const bool unclear = reason.ends_with("signature failure");
      EXPECT_EQ(dialed.error().code(),
                unclear ? Errc::tls_failed : Errc::tls_own_certificate_refused);
      EXPECT_EQ(is_transient(dialed.error()), unclear);
      EXPECT_NE(dialed.error().message().find("the server refused us"), std::string::npos)
          << dialed.error().message();
    }
    EXPECT_TRUE(log.contains(reason)) << reason;
    ++refused;
  };
  strike(
      attacked,
      [&] {
        const int sessions = attacked.opened;
        const std::uint64_t before = refused;
        for (int i = 0; i < 3; ++i) {
          expect_refusal(nullptr, "the client sent no certificate, and one is required");
          for (const Shown& row : table) {
            SCOPED_TRACE(row.name);
            expect_refusal(&row.identity, row.reason);
          }
        }
        EXPECT_TRUE(attacked.deserted());
        EXPECT_EQ(attacked.opened, sessions)
            << "a client without a valid certificate got a session";
        EXPECT_EQ(refusals(attacked.server, Errc::tls_certificate_refused), refused);
        return refused - before;
      },
      [&](std::uint16_t) {
        EXPECT_EQ(tern_echoes(attacked.url(), 10, showing(&alice)), 11u);
        return tern_echoes(attacked.url(), 1'000, showing(&alice));
      });
}

// ---- files

std::string shown_by(std::uint16_t port) {
  const sys::Bystander bystander;
  TlsSocket socket(port);
  return socket.shake_hands() ? socket.shown_name() : socket.reason();
}

TEST(Faults, X32_SpoiltFilesLeaveTheOldCertificateServing) {
  const PemFiles files;
  const Identity first = authority().issue({.common_name = "first"});
  const Identity second = authority().issue({.common_name = "second"});
  const auto write = [&](const Identity& identity) {
    files.write("cert.pem", identity.certificate());
    files.write("key.pem", identity.key());
  };
  write(first);
  AttackedTls attacked({}, {files.path("cert.pem"), files.path("key.pem")});
  const std::uint16_t port = attacked.start();
  const auto expect_failure = [&](const std::string& part) {
    const auto reloaded = attacked.server.reload_certificates();
    EXPECT_FALSE(reloaded);
    if (!reloaded) {
      EXPECT_NE(reloaded.error().message().find(part), std::string::npos)
          << reloaded.error().message();
    }
    EXPECT_EQ(shown_by(port), "first");
  };
  strike_tls(attacked, [&] {
    std::uint64_t fired = 0;
    for (int i = 0; i < 10; ++i) {
      TlsClient old(port);
      EXPECT_TRUE(old.upgrade());
      files.write("cert.pem", second.certificate());
      expect_failure("does not belong");
      files.write("cert.pem", first.certificate().substr(0, 200));
      expect_failure("certificate file " + files.path("cert.pem"));
      std::filesystem::remove(files.path("cert.pem"));
      expect_failure("No such file");
      write(first);
      files.write("key.pem", first.encrypted_key());
      expect_failure("encrypted");
      files.write("key.pem", "");
      expect_failure("key file " + files.path("key.pem"));
      fired += 5;

      write(second);
      EXPECT_TRUE(attacked.server.reload_certificates());
      EXPECT_EQ(shown_by(port), "second");
      EXPECT_TRUE(old.send(text("begun before all that")));
      EXPECT_EQ(old.next(), "text begun before all that");
      EXPECT_TRUE(old.send(closing(1000)));
      EXPECT_EQ(old.next(), "close 1000");
      const auto info = attacked.ends.take();
      EXPECT_TRUE(info && info->clean);
      write(first);
      EXPECT_TRUE(attacked.server.reload_certificates());
    }
    return fired;
  });
}

// Neither a server nor a dial() starts with such a key.
TEST(Faults, X32_AKeyOfAnotherCertificateIsAnErrorAtStart) {
  const TlsCertificate mismatch{.certificate_pem = authority().leaf.certificate(),
                                .private_key_pem = stranger().key()};
  strike_tls_clients([&] {
    std::uint64_t fired = 0;
    for (int i = 0; i < 10; ++i) {
      ServerOptions options{.host = "127.0.0.1"};
      options.tls = TlsServer{.certificate_pem = mismatch.certificate_pem,
                              .private_key_pem = mismatch.private_key_pem};
      Server server(options);
      const auto listening = server.listen();
      EXPECT_FALSE(listening);
      DialOptions dialing = trusting();
      dialing.tls.certificate = mismatch;
      const auto dialed = dial("wss://127.0.0.1:9/", dialing);
      EXPECT_FALSE(dialed);
      if (listening || dialed) continue;
      for (const Error& error : {listening.error(), dialed.error()}) {
        EXPECT_EQ(error.code(), Errc::tls_options_invalid);
        EXPECT_NE(error.message().find("does not belong"), std::string::npos) << error.message();
        ++fired;
      }
    }
    return fired;
  });
}

}  // namespace
}  // namespace tern::test

// The programs over TLS, with a certificate made by scripts/make_certificate.sh.

#include "support/certificates.h"
#include "support/markdown.h"
#include "support/process.h"

#include <csignal>
#include <filesystem>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::test {
namespace {

struct Certificate {
  Certificate() {
    Process script({TERN_SOURCE_DIR "/scripts/make_certificate.sh", files.path(""), "tern.test"});
    EXPECT_EQ(script.exit_code(), 0) << script.err();
  }
  const PemFiles files{};
  const std::string cert = files.path("cert.pem");
  const std::string key = files.path("key.pem");
};

TEST(ProgramTls, ClientsReachTheServer) {
  const Certificate made;
  EchoServer server({"--cert", made.cert, "--key", made.key});
  EXPECT_TRUE(server.url().starts_with("wss://")) << server.url();
  EXPECT_TRUE(server.line().starts_with("page at https://127.0.0.1:"));
  const std::string address = server.url().substr(0, server.url().rfind('/'));

  // echo_client takes a URL as its argument or as --addr.
  const std::vector<std::vector<std::string>> ways = {
      {server.url(), "--ca", made.cert},
      {"--addr", server.url(), "--insecure"},
      {"--addr", address, "--path", "/echo", "--ca", made.cert},
  };
  for (std::vector<std::string> words : ways) {
    words.insert(words.begin(), program("echo_client"));
    Process client(words);
    EXPECT_EQ(client.line(), "connecting to " + server.url());
    const std::string first = client.line();
    EXPECT_TRUE(first.starts_with("recv: ")) << first << client.err();
    client.signal(SIGINT);
    EXPECT_EQ(client.exit_code(), 0);
  }
  server.signal(SIGTERM);
  EXPECT_EQ(server.exit_code(), 0);
}

TEST(ProgramTls, ClientsOnALoopReachTheServer) {
  const Certificate made;
  EchoServer server({"--cert", made.cert, "--key", made.key});
  Process many({program("many"), server.url(), "--connections", "150", "--ca", made.cert});
  EXPECT_EQ(many.exit_code(), 0) << many.out();
  EXPECT_EQ(many.line(), "opened 150, failed 0, echoed 150");

  Process refused({program("feed"), server.url()});
  EXPECT_EQ(refused.exit_code(), 1) << "a certificate that is not trusted is no transient failure";
  EXPECT_NE(refused.err().find("certificate"), std::string::npos) << refused.err();
}

TEST(ProgramTls, UntrustedCertificatesAreRefused) {
  const Certificate made;
  const Certificate other;
  EchoServer server({"--cert", made.cert, "--key", made.key});
  for (const std::vector<std::string>& trust :
       {std::vector<std::string>{}, std::vector<std::string>{"--ca", other.cert}}) {
    for (const std::string name : {"echo_client", "echo_back"}) {
      std::vector<std::string> words = {program(name), server.url()};
      words.insert(words.end(), trust.begin(), trust.end());
      Process client(words);
      EXPECT_EQ(client.exit_code(), 1);
      EXPECT_NE(client.err().find("certificate of CN=tern.test: self-signed"), std::string::npos)
          << client.err();
    }
  }
}

TEST(ProgramTls, KeyOfAnotherCertificateFailsAtStart) {
  const Certificate made;
  const Certificate other;
  Process server({program("echo_server"), "--port", "0", "--cert", made.cert, "--key", other.key});
  EXPECT_EQ(server.exit_code(), 1);
  EXPECT_NE(server.err().find("does not belong"), std::string::npos) << server.err();
  Process no_certificate({program("echo_server"), "--key", made.key});
  EXPECT_EQ(no_certificate.exit_code(), 2);
}

TEST(ProgramTls, TheExampleRuns) {
  const Certificate made;
  Process example({program("tls"), made.cert, made.key});
  EXPECT_EQ(example.exit_code(), 0) << example.err();
  EXPECT_EQ(example.out(), "recv: Hello, tern\n");
}

TEST(ProgramTls, MakeCertificateHasHelp) {
  const std::string script = TERN_SOURCE_DIR "/scripts/make_certificate.sh";
  for (const char* const flag : {"--help", "-h"}) {
    Process help({script, flag});
    EXPECT_EQ(help.exit_code(), 0);
    EXPECT_EQ(help.err(), "");
    for (const char* const word : {"usage: ", "DIRECTORY", "NAME", "cert.pem", "key.pem"}) {
      EXPECT_NE(help.out().find(word), std::string::npos) << word << '\n' << help.out();
    }
  }
}

TEST(ProgramTls, MakeCertificateRefusesInvalidNames) {
  const PemFiles files;
  const std::string script = TERN_SOURCE_DIR "/scripts/make_certificate.sh";
  const std::string unknown = "make_certificate: unknown option ";
  const std::string no_name = "make_certificate: no host name or IP address: ";
  struct Row {
    std::vector<std::string> words;
    std::string printed;
  };
  for (const Row& row : std::vector<Row>{
           {{"--days", "9"}, unknown + "--days (see --help)\n"},
           {{files.path(""), "--days"}, unknown + "--days (see --help)\n"},
           {{files.path(""), "tern.test", "-d"}, unknown + "-d (see --help)\n"},
           {{files.path(""), ""}, no_name + "'' (see --help)\n"},
           {{files.path(""), "a,DNS:b"}, no_name + "'a,DNS:b' (see --help)\n"},
           {{""}, "make_certificate: the directory has no name (see --help)\n"},
       }) {
    std::vector<std::string> words = row.words;
    words.insert(words.begin(), script);
    Process process(words);
    EXPECT_EQ(process.exit_code(), 2) << row.printed;
    EXPECT_EQ(process.out(), "");
    EXPECT_EQ(process.err(), row.printed);
  }
  EXPECT_FALSE(std::filesystem::exists(files.path("key.pem")));
}

std::filesystem::perms mode(const std::string& path) {
  return std::filesystem::status(path).permissions();
}

// Only the owner may read the key, even where an old file of that name was open to others.
TEST(ProgramTls, MakeCertificateKeepsTheKeyToItsOwner) {
  using std::filesystem::perms;
  const Certificate made;
  EXPECT_EQ(mode(made.key), perms::owner_read | perms::owner_write);
  std::filesystem::permissions(made.key, perms{0666});
  const std::string old_key = file_text(made.key);
  Process again({TERN_SOURCE_DIR "/scripts/make_certificate.sh", made.files.path("")});
  EXPECT_EQ(again.exit_code(), 0) << again.err();
  EXPECT_EQ(again.err(), "");
  EXPECT_NE(file_text(made.key), old_key);
  EXPECT_EQ(mode(made.key), perms::owner_read | perms::owner_write);
  EXPECT_EQ(mode(made.cert), perms{0644});
}

TEST(ProgramTls, MakeCertificateThatFailsReportsWhyAndChangesNothing) {
  const Certificate made;
  const std::string cert = file_text(made.cert);
  const std::string key = file_text(made.key);
  const std::string directory = made.files.path("");
  Process refused({TERN_SOURCE_DIR "/scripts/make_certificate.sh", directory, "1.2.3.4.5"});
  EXPECT_EQ(refused.exit_code(), 1);
  EXPECT_EQ(refused.out(), "");
  EXPECT_NE(refused.err().find("bad ip address"), std::string::npos) << refused.err();
  EXPECT_NE(refused.err().find("make_certificate: openssl failed"), std::string::npos);
  EXPECT_EQ(file_text(made.cert), cert);
  EXPECT_EQ(file_text(made.key), key);
  // The certificate cannot be replaced, so the key stays too.
  std::filesystem::remove(made.cert);
  std::filesystem::create_directory(made.cert);
  Process failed({TERN_SOURCE_DIR "/scripts/make_certificate.sh", directory});
  EXPECT_EQ(failed.exit_code(), 1);
  EXPECT_NE(failed.err().find("cert.pem is a directory"), std::string::npos) << failed.err();
  EXPECT_EQ(file_text(made.key), key);
  std::size_t files = 0;
  for (const auto& each : std::filesystem::directory_iterator(directory)) {
    EXPECT_TRUE(each.path() == made.cert || each.path() == made.key) << each.path();
    ++files;
  }
  EXPECT_EQ(files, 2u);
}

// A common name has 64 characters at most (RFC 5280 A.1), a host name up to 253.
TEST(ProgramTls, MakeCertificateTakesALongHostName) {
  const PemFiles files;
  const std::string name = std::string(60, 'a') + '.' + std::string(60, 'b') + ".test";
  Process made({TERN_SOURCE_DIR "/scripts/make_certificate.sh", files.path(""), name});
  EXPECT_EQ(made.exit_code(), 0) << made.err();
  Process shown(
      {"openssl", "x509", "-in", files.path("cert.pem"), "-noout", "-ext", "subjectAltName"});
  EXPECT_EQ(shown.exit_code(), 0) << shown.err();
  EXPECT_NE(shown.out().find("DNS:" + name), std::string::npos) << shown.out();
}

}  // namespace
}  // namespace tern::test

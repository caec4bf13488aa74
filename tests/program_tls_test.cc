// The programs over TLS, with a certificate as scripts/make_certificate.sh makes it.

#include "support/certificates.h"
#include "support/process.h"

#include <csignal>
#include <gtest/gtest.h>
#include <string>

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

TEST(ProgramTls, ServerAndClientsTalk) {
  const Certificate made;
  EchoServer server({"--cert", made.cert, "--key", made.key});
  EXPECT_TRUE(server.url().starts_with("wss://")) << server.url();
  EXPECT_TRUE(server.line().starts_with("page at https://127.0.0.1:"));
  const std::string address = server.url().substr(0, server.url().rfind('/'));

  // echo_client: a whole URL, or an address that is one.
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

TEST(ProgramTls, StrangersAreRefused) {
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

TEST(ProgramTls, AKeyOfAnotherOneIsFoundAtTheStart) {
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

TEST(ProgramTls, MakeCertificateExplainsItself) {
  const std::string script = TERN_SOURCE_DIR "/scripts/make_certificate.sh";
  for (const char* const flag : {"--help", "-h"}) {
    Process help({script, flag});
    EXPECT_EQ(help.exit_code(), 0);
    EXPECT_EQ(help.err(), "");
    for (const char* const word : {"usage: ", "DIRECTORY", "NAME", "cert.pem", "key.pem"}) {
      EXPECT_NE(help.out().find(word), std::string::npos) << word << '\n' << help.out();
    }
  }
  Process unknown({script, "--days", "9"});
  EXPECT_EQ(unknown.exit_code(), 2);
  EXPECT_EQ(unknown.out(), "");
  EXPECT_EQ(unknown.err(), "make_certificate: unknown option --days (see --help)\n");
}

}  // namespace
}  // namespace tern::test

// X44 over TLS: peers do not read large files and endless streams; a file is changed while it is
// sent; peers leave in the middle of a file.
// Pass: each such peer costs at most 256 KiB of memory beside that of its TLS connection, and
// echoes go on. No byte of another version is sent, and the end without close_notify shows the peer
// that the body is not complete.
#include "faults/support/large_files.h"
#include "faults/support/memory.h"
#include "faults/support/tls_attacked.h"

#include <fstream>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

namespace tern::test {
namespace {

constexpr std::size_t large = std::size_t{16} << 20;  // more than the buffers of a socket

void serve(Attacked& attacked, const LargeFiles& folder) {
  folder.make_old("file", large, 'a');
  attacked.server.files("/files", folder.path());
  add_endless(attacked.server);
  attacked.start();
}

// Returns the head of the answer; the body may begin behind it.
std::string begin(TlsClient& client, std::string_view target) {
  EXPECT_TRUE(client.shake_hands());
  EXPECT_TRUE(client.send(page_request(target)));
  return client.receive_until("\r\n\r\n");
}

TEST(Faults, X44_PeersOverTlsThatDoNotReadCostLittleMemory) {
  constexpr std::size_t readers = 10;
  const LargeFiles folder;
  AttackedTls attacked({.timeouts = {.stall = std::chrono::minutes(10)}});
  serve(attacked, folder);
  strike_tls(attacked, [&] {
    const sys::Bystander bystander;
    const std::size_t heap = heap_in_use();
    std::vector<std::unique_ptr<TlsClient>> slow;
    for (std::size_t i = 0; i < readers; ++i) {
      slow.push_back(std::make_unique<TlsClient>(attacked.port()));
      const std::string head = begin(*slow.back(), i % 2 == 0 ? "/files/file" : "/endless");
      EXPECT_TRUE(head.starts_with("HTTP/1.1 200 ")) << head.substr(0, 100);
    }
    await_standstill(attacked.server);
    // The client's own TLS is counted as well.
    if (!sanitized) {
      EXPECT_LE(heap_in_use() - heap, readers * (std::size_t{400} << 10));
    }
    for (const auto& client : slow) EXPECT_FALSE(client->receive().empty()) << "they go on";
    return readers;
  });
}

TEST(Faults, X44_NoByteOfAnotherVersionFollowsTheHeadOfAFileOverTls) {
  const LargeFiles folder;
  AttackedTls attacked;
  serve(attacked, folder);
  strike_tls(attacked, [&] {
    const sys::Bystander bystander;
    int fired = 0;
    for (const bool cuts : {true, false}) {
      folder.make_old("file", large, 'a');
      TlsClient client(attacked.port());
      std::string got = begin(client, "/files/file");
      const std::string length = field(got, "Content-Length");
      EXPECT_EQ(length, std::to_string(large));
      got.erase(0, got.find("\r\n\r\n") + 4);
      await_standstill(attacked.server);
      if (cuts) {
        EXPECT_EQ(::truncate(folder.at("file").c_str(), 1'000), 0);
      } else {
        std::fstream(folder.at("file"), std::ios::in | std::ios::out) << std::string(1'000, 'b');
      }
      std::size_t size = got.size();
      bool same = got.find_first_not_of('a') == got.npos;
      for (std::string more = client.receive(); !more.empty(); more = client.receive()) {
        same = same && more.find_first_not_of('a') == more.npos;
        size += more.size();
      }
      EXPECT_TRUE(same);
      EXPECT_LT(size, large);
      EXPECT_FALSE(client.closed_properly());
      fired += size < large ? 1 : 0;
    }
    return fired;
  });
}

TEST(Faults, X44_PeersOverTlsThatLeaveInTheMiddleOfAFile) {
  const LargeFiles folder;
  AttackedTls attacked;
  serve(attacked, folder);
  strike_tls(attacked, [&] {
    const sys::Bystander bystander;
    int fired = 0;
    for (const char* const target : {"/files/file", "/endless"}) {
      for (const bool says_so : {true, false}) {
        TlsClient client(attacked.port());
        EXPECT_TRUE(begin(client, target).starts_with("HTTP/1.1 200 "));
        if (says_so) client.close_notify();
        client.reset();
        EXPECT_TRUE(attacked.deserted()) << target << ", close_notify: " << says_so;
        ++fired;
      }
    }
    return fired;
  });
}

}  // namespace
}  // namespace tern::test

// docs/guides/client.md has the defaults of a client, and the same fatal ends as the code.
#include "tern/client.h"

#include "client/retry.h"
#include "support/markdown.h"

#include <cstddef>
#include <gtest/gtest.h>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace tern::test {
namespace {

using client::judge;
using client::Verdict;

// The rows of the table whose head begins like this.
std::vector<std::string> table(const std::string& head) {
  std::istringstream lines(file_text(TERN_SOURCE_DIR "/docs/guides/client.md"));
  std::vector<std::string> rows;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(head)) {
      inside = true;
    } else if (inside && !line.starts_with("|")) {
      break;
    } else if (inside && !line.starts_with("|---")) {
      rows.push_back(line);
    }
  }
  EXPECT_FALSE(rows.empty()) << head;
  return rows;
}

std::vector<Errc> all_errors() {
  std::vector<Errc> all;
  for (int value = 1; errc_name(static_cast<Errc>(value)) != "unknown"; ++value) {
    all.push_back(static_cast<Errc>(value));
  }
  EXPECT_GT(all.size(), 50u);
  return all;
}

TEST(DocsClient, TheFatalErrorsAreThoseOfTheCode) {
  std::set<std::string_view> fatal;
  for (const Errc errc : all_errors()) {
    if (judge(Error(errc)) == Verdict::fatal) fatal.insert(errc_name(errc));
  }
  fatal.erase("upgrade_refused");                  // its HTTP status decides
  EXPECT_EQ(fatal.erase("stopped"), 1u);           // the guide names what stops it
  EXPECT_EQ(fatal.erase("attempt_given_up"), 1u);  // likewise

  std::string text;
  for (const std::string& row : table("| fatal |")) text += row;
  std::set<std::string_view> documented;
  for (const Errc errc : all_errors()) {
    const std::string name = '`' + std::string(errc_name(errc)) + '`';
    if (text.find(name) != text.npos) documented.insert(errc_name(errc));
  }
  EXPECT_EQ(documented, fatal);
}

TEST(DocsClient, TheStatusesAreThoseOfTheCode) {
  const std::string text = table("| transient |")[1];
  const std::string of_server = text.substr(0, text.find(';'));
  const std::string of_proxy = text.substr(text.find("`proxy_refused`"));
  for (int status = 100; status < 600; ++status) {
    const std::string number = std::to_string(status);
    const auto verdict = [&](Errc errc) { return judge(Error(errc, {}, {.status = status})); };
    EXPECT_EQ(verdict(Errc::upgrade_refused) == Verdict::transient,
              of_server.find(number) != of_server.npos)
        << status;
    EXPECT_EQ(verdict(Errc::proxy_refused) == Verdict::transient,
              of_proxy.find(number) != of_proxy.npos)
        << status;
  }
}

TEST(DocsClient, TheDefaultsAreThoseOfTheCode) {
  const Retry retry;
  const auto seconds = [](std::chrono::nanoseconds time) {
    return " | " + std::to_string(time / std::chrono::seconds(1)) + " s | ";
  };
  const std::vector<std::string> rows = table("| field of `Retry` |");
  ASSERT_EQ(rows.size(), 5u);
  EXPECT_TRUE(rows[0].starts_with("| `first`" + seconds(retry.first))) << rows[0];
  EXPECT_TRUE(rows[1].starts_with("| `first_after_end`" + seconds(retry.first_after_end)));
  EXPECT_TRUE(rows[2].starts_with("| `most`" + seconds(retry.most))) << rows[2];
  EXPECT_TRUE(rows[3].starts_with("| `stable`" + seconds(retry.stable))) << rows[3];
  EXPECT_TRUE(rows[4].starts_with("| `attempts` | 0 | ")) << rows[4];
  EXPECT_EQ(retry.attempts, 0u);
  EXPECT_EQ(client::Backoff::floor, std::chrono::milliseconds(100));

  const Outbox outbox;
  EXPECT_EQ(outbox.max_bytes, std::size_t{256} << 10);
  EXPECT_EQ(outbox.max_messages, 1024u);
  EXPECT_EQ(outbox.max_age, std::chrono::seconds(60));
  const std::string guide = file_text(TERN_SOURCE_DIR "/docs/guides/client.md");
  EXPECT_NE(guide.find("bytes (256 KiB), messages (1024) and age (60 s)"), guide.npos);
}

}  // namespace
}  // namespace tern::test

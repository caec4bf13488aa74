// A client on a loop whose first attempts fail and that tries again until it opens.
#pragma once

#include "support/recorded_client.h"

#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <vector>

namespace tern::test {

/// Runs a client until it opens, and returns the ends before that. It cuts each wait short.
/// `options.retry.again` says after which failures it tries again; it must refuse the end of the
/// open connection.
inline std::vector<End> ends_before_open(const std::string& url, ClientOptions options) {
  Recorded recorded(99);
  Client& client = recorded.client(url, std::move(options));
  recorded.on_end = [&](const Ended& ended) {
    if (ended.wait) client.reconnect();
  };
  bool opened = false;
  EXPECT_TRUE(client.connect({.on_open =
                                  [&](Connection& conn) {
                                    opened = true;
                                    conn.terminate();
                                  },
                              .on_message = [](Connection&, Message) {}}));
  test::run(recorded.loop);
  EXPECT_TRUE(opened) << "it did not try again";
  std::vector<End> ends = std::move(recorded.ends);
  EXPECT_TRUE(!ends.empty() && ends.back().was_open && ends.back().last);
  if (!ends.empty()) ends.pop_back();
  return ends;
}

}  // namespace tern::test

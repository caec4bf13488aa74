// Names of topics, and names of the results of publish().

#include "tern/topics.h"

#include <gtest/gtest.h>
#include <string>
#include <string_view>
#include <type_traits>

namespace tern {
namespace {

TEST(TopicsNames, HaveOneTo255BytesWithoutControlCharacters) {
  const std::string longest(255, 'x');
  for (const std::string_view name :
       {std::string_view("a"), std::string_view(" "), std::string_view("ü/漢 *"),
        std::string_view("\x80\xFF"), std::string_view(longest)}) {
    EXPECT_TRUE(is_topic_name(name)) << name;
  }
  const std::string too_long(256, 'x');
  for (const std::string_view name :
       {std::string_view(""), std::string_view("a\n"), std::string_view("\x1F"),
        std::string_view("a\x7F"), std::string_view("a\0b", 3), std::string_view(too_long)}) {
    EXPECT_FALSE(is_topic_name(name)) << name;
  }
}

TEST(TopicsNames, OfEachPublishStatus) {
  struct Case {
    PublishStatus::Value value;
    std::string_view name;
    bool accepted;
  };
  constexpr Case cases[] = {
      {PublishStatus::queued, "queued", true},
      {PublishStatus::nobody, "nobody", true},
      {PublishStatus::full, "full", false},
      {PublishStatus::too_big, "too_big", false},
      {PublishStatus::not_utf8, "not_utf8", false},
      {PublishStatus::name_invalid, "name_invalid", false},
      {PublishStatus::too_many, "too_many", false},
      {PublishStatus::stopped, "stopped", false},
      {PublishStatus::bridge_down, "bridge_down", false},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(publish_status_name(each.value), each.name);
    EXPECT_EQ(static_cast<bool>(PublishStatus(each.value)), each.accepted) << each.name;
  }
}

TEST(TopicsNames, ASubscribeResultIsAResult) {
  const SubscribeResult subscribed = Result<Subscribed>(Subscribed{.offset = 7});
  ASSERT_TRUE(subscribed);
  EXPECT_EQ(subscribed->offset, 7u);
  const SubscribeResult failed = Errc::topic_invalid;
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), Errc::topic_invalid);
}

}  // namespace
}  // namespace tern

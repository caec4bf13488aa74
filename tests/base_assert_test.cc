// The assertions of base/assert.h, which end the process with a message.
#include "base/assert.h"

#include <gtest/gtest.h>

namespace {

TEST(Assert, EvaluatesItsConditionOnce) {
  int evaluated = 0;
  TERN_ASSERT(++evaluated == 1);
  EXPECT_EQ(evaluated, 1);
}

TEST(AssertDeathTest, PrintsPlaceAndConditionThenAborts) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const int two = 2;
  EXPECT_DEATH(TERN_ASSERT(two + two == 5), "base_assert_test.cc:[0-9]+.*two \\+ two == 5");
}

TEST(AssertDeathTest, DebugAssertIsEvaluatedOnlyInDebugBuilds) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  int evaluated = 0;
  TERN_DEBUG_ASSERT(++evaluated == 1);
#ifdef NDEBUG
  EXPECT_EQ(evaluated, 0);
#else
  EXPECT_EQ(evaluated, 1);
  EXPECT_DEATH(TERN_DEBUG_ASSERT(evaluated == 2), "evaluated == 2");
#endif
}

}  // namespace

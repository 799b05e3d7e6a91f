// What the makers of random tokenizers share: the parts of one, before they are put together.
#ifndef NEXTBYTE_TESTS_FUZZ_CPP_RANDOM_FAMILY_H_
#define NEXTBYTE_TESTS_FUZZ_CPP_RANDOM_FAMILY_H_

#include <fuzzer/FuzzedDataProvider.h>

#include <memory>
#include <string>
#include <vector>

#include "random_tokenizer.h"
#include "text/normal_form.h"
#include "tokenizer/tokenizer_family.h"
#include "vocabulary/bpe_merges.h"
#include "vocabulary/vocabulary.h"

struct RandomFamily {
  std::shared_ptr<const nextbyte::Vocabulary> vocabulary;
  std::unique_ptr<const nextbyte::TokenizerFamily> family;
  std::string lead;
  nextbyte::NormalForm normal_form = nextbyte::NormalForm::kNone;
  std::string description;  // of what the vocabulary does not say
};

// Each makes one of its family; its tokens are made of the characters. They throw as
// random_tokenizer() does.
RandomFamily random_byte_pairs(FuzzedDataProvider& source, const Characters& characters);
RandomFamily random_longest_match(FuzzedDataProvider& source, const Characters& characters);
RandomFamily random_character_pairs(FuzzedDataProvider& source, const Characters& characters);
RandomFamily random_unigram(FuzzedDataProvider& source, const Characters& characters);

// True for about so many in a hundred. No bytes left: false.
bool chance(FuzzedDataProvider& source, unsigned percent);

// Joins some of the `tokens` from `first` on into merges, up to `longest` bytes, and appends those
// that are new.
std::vector<nextbyte::Merge> random_merges(FuzzedDataProvider& source,
                                           nextbyte::TokenId first,
                                           std::size_t longest,
                                           std::vector<std::string>& tokens);

// Appends up to 3 tokens of 1 to 4 characters, and returns their ids.
std::vector<nextbyte::TokenId> append_random_tokens(FuzzedDataProvider& source,
                                                    const Characters& characters,
                                                    bool may_repeat,
                                                    std::vector<std::string>& tokens);

std::string shown(const std::vector<nextbyte::Merge>& merges);

// The bytes that occur in the characters, ascending.
std::string bytes_in(const Characters& characters);

#endif  // NEXTBYTE_TESTS_FUZZ_CPP_RANDOM_FAMILY_H_

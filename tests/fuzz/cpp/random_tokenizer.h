// Makes small tokenizers and texts out of a fuzzer's bytes.
#ifndef NEXTBYTE_TESTS_FUZZ_CPP_RANDOM_TOKENIZER_H_
#define NEXTBYTE_TESTS_FUZZ_CPP_RANDOM_TOKENIZER_H_

#include <fuzzer/FuzzedDataProvider.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "text/normal_form.h"
#include "tokenizer/tokenizer.h"

using Characters = std::vector<std::string>;

struct RandomTokenizer {
  std::shared_ptr<const nextbyte::Tokenizer> tokenizer;
  Characters characters;                                           // that its texts are made of
  nextbyte::NormalForm normal_form = nextbyte::NormalForm::kNone;  // of the texts it sees
  std::string description;                                         // for people
};

// What `text` says in ASCII, in quotation marks.
std::string shown(const std::string& text);

// Of up to `longest` characters.
std::string random_text(FuzzedDataProvider& source,
                        const Characters& characters,
                        std::size_t longest);

// Of any family, with or without added tokens. Throws UnsupportedTokenizer or TokenizerFormat where
// no tokenizer can be made.
RandomTokenizer random_tokenizer(FuzzedDataProvider& source);

#endif  // NEXTBYTE_TESTS_FUZZ_CPP_RANDOM_TOKENIZER_H_

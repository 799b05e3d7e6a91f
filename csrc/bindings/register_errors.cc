// Maps the core's exception types to the classes of nextbyte.errors.
#include <exception>

#include "bindings/bindings.h"
#include "support/error.h"

namespace nb = nanobind;

namespace nextbyte {
namespace {

void raise(const char* class_name, const std::exception& error) {
  const nb::object type = nb::module_::import_("nextbyte.errors").attr(class_name);
  PyErr_SetString(type.ptr(), error.what());
}

void translate(const std::exception_ptr& pointer, void*) {
  try {
    std::rethrow_exception(pointer);
  } catch (const UnreachableByte& error) {
    const nb::object type = nb::module_::import_("nextbyte.errors").attr("UnreachableByteError");
    const nb::object value = type(error.position(), error.byte(), error.what());
    PyErr_SetObject(type.ptr(), value.ptr());
  } catch (const UnsupportedTokenizer& error) {
    raise("UnsupportedTokenizerError", error);
  } catch (const TokenizerFormat& error) {
    raise("TokenizerFormatError", error);
  } catch (const InvalidInput& error) {
    raise("InvalidInputError", error);
  }
}

}  // namespace

void register_errors(nb::module_&) { nb::register_exception_translator(translate); }

}  // namespace nextbyte

"""The rules that Bazel 4.2.3's own BUILD files load from rules_proto: the built-in ones."""

proto_lang_toolchain = native.proto_lang_toolchain
proto_library = native.proto_library

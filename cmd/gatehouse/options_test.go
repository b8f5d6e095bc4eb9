package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/internal/flags"
)

// A flag that is accepted and then forgotten is worse than one that is refused: who sets --tls-min-version relies on it.
func TestEveryOptionIsUsed(t *testing.T) {
	used := map[string]bool{}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				used[s.Sel.Name] = true
			}
			return true
		})
	}
	// These are used through methods of Options.
	for field, method := range map[string]string{"SecurePort": "ListenAddress", "Verbosity": "LogLevel", "TLSCipherSuites": "CipherSuites"} {
		used[field] = used[field] || used[method]
	}
	for field := range reflect.TypeFor[flags.Options]().Fields() {
		if !used[field.Name] {
			t.Errorf("flags.Options.%s is not used: wire it, or refuse its flag", field.Name)
		}
	}
}

// Command openapi writes the OpenAPI documents that the server embeds, and the schema by which it tracks who owns a field.
//
// It runs in the tools module, in two steps, because schemas are Go code first: the generator of kube-openapi
// turns the API types of the resource table into a Go file in a temporary directory, and the build
// command next to this one is compiled over that file (go run -overlay) and writes the documents.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"

	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/gengo/v2"
	"k8s.io/gengo/v2/generator"
	"k8s.io/kube-openapi/cmd/openapi-gen/args"
	"k8s.io/kube-openapi/pkg/generators"

	"github.com/gatehouse/gatehouse/resource"
)

// definitions is the file, relative to the tools module, that the generated one is laid over.
const definitions = "openapi/definitions/definitions.go"

func main() {
	out := flag.String("o", "../internal/openapi/documents.zip", "file to write")
	fields := flag.String("ownership", "../fieldmanager/schema.json.gz", "file to write how fields can be owned to")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *out, *fields); err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out, fields string) (err error) {
	dir, err := os.MkdirTemp("", "gatehouse-openapi-")
	if err != nil {
		return err
	}
	defer func() {
		if e := os.RemoveAll(dir); err == nil {
			err = e
		}
	}()
	if err := generate(dir); err != nil {
		return err
	}
	overlay, err := writeOverlay(dir)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "run", "-overlay", overlay, "./openapi/build", "-o", out, "-ownership", fields)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build the documents: %w", err)
	}
	return nil
}

// generate writes the schema definitions of every package that a served type comes from into dir.
func generate(dir string) error {
	packages, err := typePackages()
	if err != nil {
		return err
	}
	a := args.New()
	a.OutputDir = dir
	a.OutputPkg = "github.com/gatehouse/gatehouse/tools/openapi/definitions"
	a.OutputFile = "definitions.go"
	a.ReportFilename = filepath.Join(dir, "report.txt")
	targets := func(c *generator.Context) []generator.Target { return generators.GetOpenAPITargets(c, a, nil) }
	if err := gengo.Execute(generators.NameSystems(), generators.DefaultNameSystem(), targets, gengo.StdBuildTag, packages); err != nil {
		return fmt.Errorf("generate schema definitions: %w", err)
	}
	return nil
}

// typePackages lists the packages of the served types and of the types that those are made of.
func typePackages() ([]string, error) {
	table, err := resource.Builtin()
	if err != nil {
		return nil, err
	}
	found := map[string]bool{
		"k8s.io/apimachinery/pkg/api/resource": true,
		"k8s.io/apimachinery/pkg/apis/meta/v1": true,
		"k8s.io/apimachinery/pkg/runtime":      true,
		"k8s.io/apimachinery/pkg/util/intstr":  true,
		"k8s.io/apimachinery/pkg/version":      true,
	}
	for _, t := range table.Types() {
		found[reflect.TypeOf(t.New()).Elem().PkgPath()] = true
		for _, s := range t.Subresources {
			if s.Kind.Kind == "" {
				continue
			}
			o, err := scheme.Scheme.New(s.Kind)
			if err != nil {
				return nil, fmt.Errorf("%s/%s: %w", t.GVR(), s.Name, err)
			}
			found[reflect.TypeOf(o).Elem().PkgPath()] = true
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// writeOverlay tells the go command to read the generated file in place of the empty one.
func writeOverlay(dir string) (string, error) {
	target, err := filepath.Abs(definitions)
	if err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{
		"Replace": {target: filepath.Join(dir, "definitions.go")},
	})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, overlay, 0o600)
}

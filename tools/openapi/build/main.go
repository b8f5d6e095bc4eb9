// Command build writes the OpenAPI documents of the built-in resources into one zip file. It needs the
// generated schema definitions, so it is run by the openapi command and not by hand.
//
// The file holds gzip members that a server can send as they are:
//
//	v2.json.gz, v2.pb.gz              the OpenAPI 2 document in its two media types
//	v3/<path>.json.gz, v3/<path>.pb.gz one OpenAPI 3 document per URL path
//	inputs.txt.gz                     what the documents were made from, for the check that they are current
//
// A second file holds what server-side apply needs to know of the schemas.
//
// The comment of an entry is the hash of its document. The same inputs give the same bytes.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/gatehouse/gatehouse/resource"
)

func main() {
	out := flag.String("o", "", "file to write")
	fields := flag.String("ownership", "", "file to write how fields can be owned to")
	flag.Parse()
	if err := run(*out, *fields); err != nil {
		fmt.Fprintln(os.Stderr, "openapi/build:", err)
		os.Exit(1)
	}
}

func run(out, fields string) error {
	// The kinds of the extension servers are not in client-go's scheme.
	for _, add := range []func(*runtime.Scheme) error{apiextensionsv1.AddToScheme, apiregistrationv1.AddToScheme} {
		if err := add(scheme.Scheme); err != nil {
			return err
		}
	}
	table, err := resource.Builtin()
	if err != nil {
		return err
	}
	documents, err := build(table)
	if err != nil {
		return err
	}
	inputs, err := describeInputs()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := writeArchive(&b, append(documents, file{name: "inputs.txt", data: inputs})); err != nil {
		return err
	}
	if err := os.WriteFile(out, b.Bytes(), 0o644); err != nil {
		return err
	}
	owned, err := ownership(table)
	if err != nil {
		return fmt.Errorf("schema of field ownership: %w", err)
	}
	return os.WriteFile(fields, owned, 0o644)
}

// build makes every document of the table.
func build(table *resource.Table) ([]file, error) {
	all := service{}
	var files []file
	add := func(path string, routes []*route) error {
		all = append(all, routes...)
		doc, err := documentV3(path, routes)
		if err != nil {
			return fmt.Errorf("OpenAPI 3 document %s: %w", path, err)
		}
		files = append(files, doc...)
		return nil
	}
	for _, d := range serverDocuments() {
		if err := add(d.path, d.routes); err != nil {
			return nil, err
		}
	}
	for _, g := range table.Groups() {
		if g.Group != "" {
			if err := add("apis/"+g.Group, groupRoutes(g.Group)); err != nil {
				return nil, err
			}
		}
		for _, version := range g.Versions {
			gv := schema.GroupVersion{Group: g.Group, Version: version}
			routes, err := versionRoutes(table, gv)
			if err != nil {
				return nil, err
			}
			if err := add(groupVersionPath(gv), routes); err != nil {
				return nil, err
			}
		}
	}
	doc, err := documentV2(all)
	if err != nil {
		return nil, fmt.Errorf("OpenAPI 2 document: %w", err)
	}
	return append(files, doc...), nil
}

// groupVersionPath is the URL path of a group version, without the leading slash.
func groupVersionPath(gv schema.GroupVersion) string {
	if gv.Group == "" {
		return "api/" + gv.Version
	}
	return "apis/" + gv.Group + "/" + gv.Version
}

// Package openapi holds the OpenAPI documents of the built-in resources, made from the resource table by the
// generator in tools/openapi (make generate) and embedded in the binary.
//
// The documents stay compressed: they are handed out as the gzip members they are stored as, so loading
// them costs a look at a directory, and sending them to a client that takes gzip costs nothing more. Whoever needs
// the plain text decompresses it.
//
// The package knows nothing about custom resources or about who may read the documents.
package openapi

import (
	"archive/zip"
	"bytes"
	_ "embed" // for the archive
	"errors"
	"fmt"
	"strings"
)

//go:embed documents.zip
var archive []byte

// Document is one document, compressed with gzip. Its slices are shared and must not be changed.
type Document struct {
	// JSON and Protobuf are the two forms; the protobuf messages are those of gnostic-models.
	JSON, Protobuf []byte
	// Hash names the content: the SHA-256 of the plain JSON text in upper-case hex. It is fit to be a strong ETag.
	Hash string
}

// Documents is the set of embedded documents. It is immutable; its zero value holds none.
type Documents struct {
	v2 Document
	v3 map[string]Document
}

// Load reads the directory of the embedded archive. An error means that the binary was built from
// a damaged file.
func Load() (*Documents, error) {
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, fmt.Errorf("openapi: read the embedded documents: %w", err)
	}
	d := &Documents{v3: make(map[string]Document)}
	for _, f := range r.File {
		if err := d.add(f); err != nil {
			return nil, fmt.Errorf("openapi: embedded document %s: %w", f.Name, err)
		}
	}
	return d, nil
}

// V2 is the one OpenAPI 2 document, which covers everything.
func (d *Documents) V2() Document { return d.v2 }

// V3 holds the OpenAPI 3 documents by URL path without the leading slash: one for each group version
// ("api/v1", "apis/apps/v1"), for each group ("apis/apps") and for each path of the server's own. The map must not be changed.
func (d *Documents) V3() map[string]Document { return d.v3 }

// add files one entry of the archive under its name.
func (d *Documents) add(f *zip.File) error {
	name, packed := strings.CutSuffix(f.Name, ".gz")
	if !packed || f.Method != zip.Store {
		return errors.New("is not a stored gzip member")
	}
	offset, err := f.DataOffset()
	if err != nil {
		return err
	}
	data := archive[offset : offset+int64(f.CompressedSize64) : offset+int64(f.CompressedSize64)]
	path, ofV3 := strings.CutPrefix(name, "v3/")
	text, isJSON := strings.CutSuffix(path, ".json")
	binary, isProtobuf := strings.CutSuffix(path, ".pb")
	switch {
	case isJSON:
		d.update(ofV3, text, func(doc *Document) { doc.JSON, doc.Hash = data, f.Comment })
	case isProtobuf:
		d.update(ofV3, binary, func(doc *Document) { doc.Protobuf = data })
	}
	return nil
}

// update changes the document of a path, or the OpenAPI 2 document.
func (d *Documents) update(ofV3 bool, path string, change func(*Document)) {
	if !ofV3 {
		change(&d.v2)
		return
	}
	doc := d.v3[path]
	change(&doc)
	d.v3[path] = doc
}

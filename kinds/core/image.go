package core

import (
	"regexp"
	"strings"
)

// latest is the tag of an image that is named without one.
const latest = "latest"

const (
	maxImageName = 255 // of host and path together, as registries bound it
	hexDigits    = "0123456789abcdef"
)

// The grammar of image names:
//
//	name   = [ host "/" ] path [ ":" tag ] [ "@" digest ]
//	host   = ( labels | "[" ipv6 "]" ) [ ":" port ]
//	path   = part { "/" part }        lower case; parts of letters and digits, joined by "." "_" "__" or dashes
//	digest = algorithm ":" hex
var (
	imageHost = regexp.MustCompile(`^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?$`)
	imagePath = regexp.MustCompile(`^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$`)
	imageTags = regexp.MustCompile(`^\w[\w.-]{0,127}$`)
)

// imageTag is the tag that a reference to an image names, latest where it names neither tag nor digest, and empty where it has only a digest
// or is no reference at all.
func imageTag(image string) string {
	if len(image) == 64 && strings.Trim(image, hexDigits) == "" {
		return "" // That is an identifier, and cannot be a name.
	}
	rest, digest, hasDigest := strings.Cut(image, "@")
	if hasDigest && !isDigest(digest) {
		return ""
	}
	host, rest := imageHostOf(rest)
	path, tag, hasTag := strings.Cut(rest, ":")
	if !strings.Contains(path, "/") && host == "docker.io" {
		path = "library/" + path
	}
	if !imageHost.MatchString(host) || !imagePath.MatchString(path) || len(host)+len("/")+len(path) > maxImageName {
		return ""
	}
	switch {
	case hasTag && !imageTags.MatchString(tag):
		return ""
	case hasTag || hasDigest:
		return tag
	}
	return latest
}

// imageHostOf splits off what names a registry: it has a dot, a port or a capital letter, or is localhost.
func imageHostOf(image string) (host, rest string) {
	first, after, ok := strings.Cut(image, "/")
	if !ok || (!strings.ContainsAny(first, ".:") && first != "localhost" && strings.ToLower(first) == first) {
		return "docker.io", image
	}
	if first == "index.docker.io" {
		first = "docker.io"
	}
	return first, after
}

func isDigest(s string) bool {
	algorithm, sum, _ := strings.Cut(s, ":")
	size := map[string]int{"sha256": 64, "sha384": 96, "sha512": 128}[algorithm]
	return size > 0 && len(sum) == size && strings.Trim(sum, hexDigits) == ""
}

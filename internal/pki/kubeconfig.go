package pki

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

const (
	kubeconfigSuffix = ".kubeconfig"
	clusterName      = "gatehouse"
)

// kubeconfig is the part of a client configuration (v1, Config) that we write. The byte slices are in base64 there.
type kubeconfig struct {
	APIVersion     string         `json:"apiVersion"`
	Kind           string         `json:"kind"`
	Clusters       []namedCluster `json:"clusters"`
	Users          []namedUser    `json:"users"`
	Contexts       []namedContext `json:"contexts"`
	CurrentContext string         `json:"current-context"`
}

type namedCluster struct {
	Name    string  `json:"name"`
	Cluster cluster `json:"cluster"`
}

type cluster struct {
	Server string `json:"server"`
	CA     []byte `json:"certificate-authority-data"`
}

type namedUser struct {
	Name string `json:"name"`
	User user   `json:"user"`
}

type user struct {
	Cert []byte `json:"client-certificate-data"`
	Key  []byte `json:"client-key-data"`
}

type namedContext struct {
	Name    string         `json:"name"`
	Context clusterAndUser `json:"context"`
}

type clusterAndUser struct {
	Cluster string `json:"cluster"`
	User    string `json:"user"`
}

// Kubeconfig renders a client configuration, with everything in it, for the user called name at the server's URL.
func (a *Authority) Kubeconfig(server, name string, p Pair) ([]byte, error) {
	data, err := yaml.Marshal(newKubeconfig(a, server, name, p))
	if err != nil {
		return nil, fmt.Errorf("kubeconfig of %q: %w", name, err)
	}
	return data, nil
}

func newKubeconfig(a *Authority, server, name string, p Pair) kubeconfig {
	context := name + "@" + clusterName
	return kubeconfig{
		APIVersion: "v1", Kind: "Config",
		Clusters:       []namedCluster{{Name: clusterName, Cluster: cluster{Server: server, CA: a.pem}}},
		Users:          []namedUser{{Name: name, User: user(p)}},
		Contexts:       []namedContext{{Name: context, Context: clusterAndUser{Cluster: clusterName, User: name}}},
		CurrentContext: context,
	}
}

// IssueUser issues a client certificate from the authority under dir and writes dir/NAME.kubeconfig, which points to
// the same server as the administrator's. It returns that path. An existing file of that name is replaced.
func IssueUser(dir string, c Client, now func() time.Time) (path string, err error) {
	if !isFileName(c.Name) || c.Name == adminName {
		return "", fmt.Errorf("user %q: a name for a file is needed: letters, digits, '.', '_', '@' and '-', not %q", c.Name, adminName)
	}
	authority, err := OpenAuthority(dir, now)
	if err != nil {
		return "", err
	}
	admin, err := readKubeconfig(filepath.Join(dir, adminKubeconfig))
	if err != nil {
		return "", err
	}
	if admin.server() == "" {
		return "", fmt.Errorf("%s names no server: start the server once to have it written anew", filepath.Join(dir, adminKubeconfig))
	}
	pair, err := authority.ClientCert(c)
	if err != nil {
		return "", err
	}
	data, err := authority.Kubeconfig(admin.server(), c.Name, pair)
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, c.Name+kubeconfigSuffix)
	return path, WriteFile(path, data)
}

func isFileName(name string) bool {
	const more = "._@-"
	if name == "" || len(name) > 64 || strings.ContainsRune(more, rune(name[0])) {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(more, r)
	})
}

// ensureKubeconfig leaves a file alone that still leads to the server as the administrator, whatever else the
// user's tools have added to it.
func (m *Material) ensureKubeconfig(a *Authority, server string) error {
	cert, err := ReadPrivate(m.AdminCert, maxPEMBytes)
	if err != nil {
		return err
	}
	key, err := ReadPrivate(m.AdminKey, maxPEMBytes)
	if err != nil {
		return err
	}
	pair := Pair{Cert: cert, Key: key}
	old, err := readKubeconfig(m.AdminKubeconfig)
	switch {
	case err == nil && old.leadsTo(newKubeconfig(a, server, adminName, pair)):
		return nil
	case errors.Is(err, ErrUnsafe):
		return err
	case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNotKubeconfig):
		return err
	}
	data, err := a.Kubeconfig(server, adminName, pair)
	if err != nil {
		return err
	}
	m.note(true, m.AdminKubeconfig)
	return WriteFile(m.AdminKubeconfig, data)
}

var errNotKubeconfig = errors.New("not a kubeconfig")

func readKubeconfig(path string) (*kubeconfig, error) {
	data, err := ReadPrivate(path, maxPEMBytes)
	if err != nil {
		return nil, err
	}
	var k kubeconfig
	if err := yaml.Unmarshal(data, &k); err != nil {
		return nil, fmt.Errorf("%s: %w", path, errNotKubeconfig)
	}
	return &k, nil
}

// server returns the URL of our cluster, or nothing.
func (k *kubeconfig) server() string {
	for _, c := range k.Clusters {
		if c.Name == clusterName {
			return c.Cluster.Server
		}
	}
	return ""
}

func (k *kubeconfig) leadsTo(want kubeconfig) bool {
	cluster, user := want.Clusters[0], want.Users[0]
	for _, c := range k.Clusters {
		if c.Name == cluster.Name && (c.Cluster.Server != cluster.Cluster.Server || !bytes.Equal(c.Cluster.CA, cluster.Cluster.CA)) {
			return false
		}
	}
	for _, u := range k.Users {
		if u.Name == user.Name {
			return k.server() != "" && bytes.Equal(u.User.Cert, user.User.Cert) && bytes.Equal(u.User.Key, user.User.Key)
		}
	}
	return false
}

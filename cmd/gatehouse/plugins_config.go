package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/admission/eventrate"
	"github.com/gatehouse/gatehouse/admission/placement"
	"github.com/gatehouse/gatehouse/admission/podsecurity"
	"github.com/gatehouse/gatehouse/internal/flags"
	"github.com/gatehouse/gatehouse/internal/pki"
)

// maxAdmissionConfig bounds the file of --admission-control-config-file and each file that it names.
const maxAdmissionConfig = 1 << 20

// admissionConfiguration is apiserver.config.k8s.io/v1 AdmissionConfiguration.
type admissionConfiguration struct {
	APIVersion string                `json:"apiVersion"`
	Kind       string                `json:"kind"`
	Plugins    []pluginConfiguration `json:"plugins"`
}

// pluginConfiguration configures one plugin, here or in a file of its own.
type pluginConfiguration struct {
	Name          string          `json:"name"`
	Path          string          `json:"path"`
	Configuration json.RawMessage `json:"configuration"`
}

// pluginSettings are what plugins are configured with. The zero value is what kube-apiserver's plugins do without configuration.
type pluginSettings struct {
	podSecurity podsecurity.Config
	selectors   placement.NodeSelectors
	tolerations placement.Tolerations
	events      []eventrate.Limit
}

// makePluginSettings reads --admission-control-config-file. What cannot be read, or is for a plugin that takes no configuration here, is refused.
func (p *parts) makePluginSettings(context.Context) (err error) {
	settings := &pluginSettings{}
	if settings.podSecurity, err = podsecurity.ParseConfig(nil); err != nil {
		return err
	}
	if file := p.options.AdmissionConfigFile; file != "" {
		if err := settings.read(file); err != nil {
			return fmt.Errorf("--admission-control-config-file: %s: %w", file, err)
		}
	}
	if p.isOn("EventRateLimit") && len(settings.events) == 0 {
		return errors.New("--enable-admission-plugins=EventRateLimit: --admission-control-config-file has no limits for it")
	}
	p.settings = settings
	return nil
}

func (s *pluginSettings) read(file string) error {
	data, err := pki.ReadPublic(file, maxAdmissionConfig)
	if err != nil {
		return err
	}
	var c admissionConfiguration
	if data, err = yaml.YAMLToJSONStrict(data); err != nil {
		return err
	}
	faults, err := kjson.UnmarshalStrict(data, &c)
	if err = errors.Join(append(faults, err)...); err != nil {
		return err
	}
	if c.Kind != "AdmissionConfiguration" || (c.APIVersion != "apiserver.config.k8s.io/v1" && c.APIVersion != "apiserver.k8s.io/v1alpha1") {
		return fmt.Errorf("it is %s %s, want apiserver.config.k8s.io/v1 AdmissionConfiguration", c.APIVersion, c.Kind)
	}
	for i, plugin := range c.Plugins {
		where := fmt.Sprintf("plugins[%d] %s", i, plugin.Name)
		if slices.ContainsFunc(c.Plugins[:i], func(other pluginConfiguration) bool { return other.Name == plugin.Name }) {
			return fmt.Errorf("%s: configured twice", where)
		}
		if err := s.configure(plugin, filepath.Dir(file)); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
	}
	return nil
}

// configure hands a plugin its configuration; a relative path is one beside the file that names it.
func (s *pluginSettings) configure(c pluginConfiguration, dir string) (err error) {
	if !slices.Contains(flags.PluginNames(), c.Name) {
		return fmt.Errorf("no such plugin: the names are %s", strings.Join(flags.PluginNames(), ", "))
	}
	data := []byte(c.Configuration)
	if len(data) == 0 || string(data) == "null" {
		if c.Path == "" {
			return nil // as kube-apiserver: the plugin's defaults
		}
		path := c.Path
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if data, err = pki.ReadPublic(path, maxAdmissionConfig); err != nil {
			return err
		}
	}
	switch c.Name {
	case "PodSecurity":
		s.podSecurity, err = podsecurity.ParseConfig(data)
	case "PodNodeSelector":
		s.selectors, err = placement.ParseNodeSelectors(data)
	case "PodTolerationRestriction":
		s.tolerations, err = placement.ParseTolerations(data)
	case "EventRateLimit":
		s.events, err = eventrate.ParseConfig(data)
	default:
		err = errors.New("no configuration is read for this plugin")
	}
	return err
}

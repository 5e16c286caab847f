"""Graph files: five formats there and back, what is mended and said, what is refused with its line or element."""

from __future__ import annotations

import dataclasses
import gzip
import json

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim import scenario
from meshsim.mesh import geo
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.topology import MEASURES, Topology
from meshsim.scenario import topologies
from meshsim.scenario.topologies import allowed_for, files
from meshsim.scenario.topologies.files import attributes, elements, layout, raw, stored

WHOLE = files.Options(component="all")
ENDINGS = [f"{suffix}{packed}" for suffix in files.SUFFIXES for packed in ("", ".gz")]

CSV = "source,target,latitude,longitude,length_km\n"
TOWN = CSV + "a,,0,0,\nb,,0,1,\nc,,1,1,\na,b,,,120\nb,c,,,\n"


def imported(folder, name: str, text: str | bytes, **options: object) -> files.Imported:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return files.read(path, files.Options(**options))


def refused(folder, name: str, text: str | bytes, **options: object) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        imported(folder, name, text, **options)
    assert caught.value.file == str(folder / name)
    return caught.value


def same(one: Topology, other: Topology) -> bool:
    fields = ("latitude", "longitude", "src", "dst", "length", *MEASURES)
    both = [(getattr(one, name), getattr(other, name)) for name in fields]
    equal = [a is b if a is None or b is None else np.array_equal(a, b, equal_nan=True) for a, b in both]
    return one.names == other.names and all(equal)


# There and back -------------------------------------------------------------------------------------------------------

NAMES = st.text(min_size=1, max_size=12).filter(lambda text: not attributes.unwritable(text))
NUMBERS = st.floats(0, 1e9)
MEASURE = {"delay": NUMBERS, "jitter": NUMBERS, "loss": st.floats(0, 1), "rate": st.floats(1, 1e15)}


@st.composite
def drawn(draw) -> Topology:
    names = draw(st.lists(NAMES, min_size=2, max_size=6, unique=True))
    every = [(a, b) for a in range(len(names)) for b in range(len(names)) if a != b]
    links = sorted(draw(st.sets(st.sampled_from(every), min_size=1)))
    if draw(st.booleans()):
        links = sorted({*links, *((b, a) for a, b in links)})
    # one value an edge, so that some topologies are the same in both directions
    edges = sorted({(min(pair), max(pair)) for pair in links})
    of = [edges.index((min(pair), max(pair))) for pair in links]

    def values(numbers: st.SearchStrategy[float]) -> np.ndarray:
        return np.array(draw(st.lists(numbers, min_size=len(edges), max_size=len(edges))))[of]

    measures = {
        name: values(st.one_of(numbers, st.just(np.nan))) for name, numbers in MEASURE.items() if draw(st.booleans())
    }
    places = [draw(st.tuples(st.floats(-90, 90), st.floats(-180, 180))) for _ in names]
    return Topology(
        name="drawn",
        names=tuple(names),
        latitude=np.array([place[0] for place in places]),
        longitude=np.array([place[1] for place in places]),
        src=np.array([a for a, _ in links], dtype=np.int32),
        dst=np.array([b for _, b in links], dtype=np.int32),
        length=values(NUMBERS),
        **{name: found for name, found in measures.items() if not np.isnan(found).all()},
    )


@pytest.mark.parametrize("suffix", files.SUFFIXES)
@given(topology=drawn())
@settings(max_examples=40, deadline=None)
def test_a_topology_survives_the_trip_through_a_file(tmp_path_factory, suffix, topology):
    path = tmp_path_factory.getbasetemp() / f"trip{suffix}"
    files.write(topology, path)
    again = files.read(path, WHOLE)
    assert same(again.topology, topology)
    assert [note for note in again.notes if "capacities" not in note] == []


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", ["sndlib/geant", "gabriel/25/0", "topozoo/Arpanet196912", "geometric"])
def test_known_topologies_survive_the_trip(tmp_path, ending, name):
    topology = topologies.load(name)
    files.write(topology, tmp_path / f"a{ending}")
    again = files.read(tmp_path / f"a{ending}")
    assert same(again.topology, topology)
    assert again.topology.name == "file/a"
    assert again.notes == ()


def test_equal_topologies_make_equal_bytes_when_packed(tmp_path):
    for name in ("a.gml.gz", "b.gml.gz"):
        files.write(topologies.load("ring"), tmp_path / name)
    assert (tmp_path / "a.gml.gz").read_bytes() == (tmp_path / "b.gml.gz").read_bytes()


@pytest.mark.parametrize("name", ["sndlib/polska", "topozoo/Abilene"])
@pytest.mark.parametrize("directed", [False, True])
def test_networkx_and_our_readers_agree(tmp_path, name, directed):
    graph = topologies.load(name).to_networkx()
    graph = graph if directed else graph.to_undirected()
    nx.write_graphml(graph, tmp_path / "a.graphml")
    nx.write_gml(graph, tmp_path / "a.gml")
    (tmp_path / "a.json").write_text(json.dumps(nx.node_link_data(graph, edges="links")))
    for ending in ("graphml", "gml", "json"):
        assert same(files.read(tmp_path / f"a.{ending}").topology, topologies.load(name)), ending
    for ending, reader in ((".graphml", nx.read_graphml), (".gml", lambda path: nx.read_gml(path, label="id"))):
        files.write(topologies.load(name), tmp_path / f"ours{ending}")
        assert reader(tmp_path / f"ours{ending}").number_of_edges() == len(topologies.load(name).src) // 2


def test_the_files_of_topohub_read_as_they_are(tmp_path):
    graph = nx.node_link_data(topologies.load("sndlib/geant").to_networkx().to_undirected(), edges="edges")
    for node in graph["nodes"]:
        node["pos"] = [node.pop("longitude"), node.pop("latitude")]
    for edge in graph["edges"]:
        edge["dist"] = edge.pop("length") / 1e3
    read = imported(tmp_path, "geant.json", json.dumps(graph))
    assert read.topology.length == pytest.approx(topologies.load("sndlib/geant").length)


# What is mended and said ----------------------------------------------------------------------------------------------


def test_lengths_that_are_not_said_are_great_circles(tmp_path):
    town = imported(tmp_path, "town.csv", TOWN).topology
    assert town.names == ("a", "b", "c")
    assert town.length.tolist()[:2] == [120e3, 120e3]
    assert town.length[2] == pytest.approx(float(geo.distance(0, 1, 1, 1)))


def test_loops_and_parallel_edges_are_left_out_and_told(tmp_path):
    read = imported(tmp_path, "town.csv", TOWN + "a,a,,,3\na,b,,,90\nb,a,,,400\n")
    assert read.topology.length[0] == 90e3
    assert read.notes == (
        "edges from a node to itself left out: 1 (a)",
        "parallel edges, of which the shortest stays: 2 left out",
    )


def test_of_parallel_edges_all_that_the_shortest_says_stays(tmp_path):
    text = "source,target,latitude,longitude,length,loss\na,,0,0,,\nb,,0,1,,\na,b,,,100,0.5\na,b,,,50,\n"
    town = imported(tmp_path, "town.csv", text).topology
    assert town.loss is None
    assert town.length.tolist() == [50, 50]


def test_parts_that_nobody_asked_for_are_left_out_and_told(tmp_path):
    text = TOWN + "d,,5,5,\nx,,9,9,\ny,,9,8,\nx,y,,,\n"
    assert imported(tmp_path, "t.csv", text, component="all").topology.names == ("a", "b", "c", "d", "x", "y")
    linked = imported(tmp_path, "t.csv", text)
    assert linked.topology.names == ("a", "b", "c", "x", "y")
    assert linked.notes == ("nodes without an edge left out: 1 (d)",)
    largest = imported(tmp_path, "t.csv", text, component="largest")
    assert largest.topology.names == ("a", "b", "c")
    assert largest.notes[1] == "nodes outside the largest part left out: 2 (x, y)"


def test_the_largest_part_of_a_directed_graph_is_one_whose_places_reach_each_other(tmp_path):
    text = TOWN.replace("b,c,,,", "b,c,,,7\nc,a,,,8\nc,d,,,9")
    ring = imported(tmp_path, "t.csv", text, component="largest", directed=True).topology
    assert ring.names == ("a", "b", "c")
    assert list(zip(ring.src.tolist(), ring.dst.tolist(), strict=True)) == [(0, 1), (1, 2), (2, 0)]


def test_edges_may_say_their_own_direction(tmp_path):
    text = "source,target,latitude,longitude,directed\na,,0,0,\nb,,0,1,\nc,,1,1,\na,b,,,true\nb,c,,,false\n"
    town = imported(tmp_path, "t.csv", text).topology
    assert list(zip(town.src.tolist(), town.dst.tolist(), strict=True)) == [(0, 1), (1, 2), (2, 1)]
    document = graphml('<edge source="a" target="b" directed="true"/>')
    assert len(imported(tmp_path, "t.graphml", document, length=1e3).topology.src) == 1


def test_places_without_coordinates_stand_between_their_neighbours(tmp_path):
    text = "source,target,latitude,longitude\na,,0,0\nb,,0,2\na,m,,\nm,b,,\nm,far,,\n"
    read = imported(tmp_path, "t.csv", text)
    at = dict(zip(read.topology.names, read.topology.longitude.tolist(), strict=True))
    assert at == pytest.approx({"a": 0, "b": 2, "m": 1, "far": 1})
    assert read.notes == ("nodes without coordinates stand between their neighbours: 2 (m, far)",)


def test_the_middle_of_neighbours_across_the_date_line_is_there(tmp_path):
    text = "source,target,latitude,longitude\na,,0,179\nb,,0,-179\na,m,,\nm,b,,\n"
    assert abs(imported(tmp_path, "t.csv", text).topology.longitude[1 + 1]) == pytest.approx(180)


def test_a_part_without_any_coordinates_stands_in_the_middle_of_all(tmp_path):
    text = "source,target,latitude,longitude\na,,0,0\nb,,0,2\na,b,,\nx,y,,\n"
    assert imported(tmp_path, "t.csv", text).topology.longitude == pytest.approx([0, 2, 1, 1])


def test_a_file_without_coordinates_is_laid_out_by_lengths(tmp_path):
    square = {("a", "b"): 3e3, ("b", "c"): 4e3, ("c", "d"): 3e3, ("d", "a"): 4e3, ("a", "c"): 5e3, ("b", "d"): 5e3}
    rows = "".join(f"{a},{b},{metres}\n" for (a, b), metres in square.items())
    read = imported(tmp_path, "t.csv", "source,target,length\n" + rows)
    assert read.notes == ("no coordinates: places are laid out by the lengths of edges",)
    place = {name: np.array([read.topology.latitude[i], read.topology.longitude[i]]) for i, name in enumerate("abcd")}
    for (a, b), metres in square.items():
        assert np.hypot(*(place[a] - place[b])) * layout.METRES_PER_DEGREE == pytest.approx(metres)


def test_lengths_can_be_assumed_where_no_place_is_known(tmp_path):
    read = imported(tmp_path, "t.csv", "source,target\na,b\nb,c\n", length=7e3)
    assert read.topology.length.tolist() == [7e3] * 4
    assert refused(tmp_path, "t.csv", "source,target\na,b\nb,c\n").line == 2


def test_a_plane_in_kilometres_lies_around_the_middle_of_the_map(tmp_path):
    graph = {
        "nodes": [{"id": 1, "x": 500, "y": 0}, {"id": "b", "x": 503, "y": 4}],
        "links": [{"source": 1, "target": "b"}],
    }
    read = imported(tmp_path, "t.json", json.dumps(graph))
    assert read.topology.length == pytest.approx([5e3, 5e3])
    assert read.topology.longitude.sum() == pytest.approx(0)
    assert read.notes == ("coordinates are read as kilometres on a plane around (0, 0)",)


def test_names_that_come_twice_have_the_id_added(tmp_path):
    text = 'graph [ node [ id 1 label "K&#246;ln" lat 1 lon 1 ] node [ id 2 label "K&#246;ln" lat 2 lon 2 ]\n'
    read = imported(tmp_path, "t.gml", text + "edge [ source 1 target 2 ] ]")
    assert read.topology.names == ("Köln #1", "Köln #2")
    assert read.notes == ("names that come twice have the id added: 1 (Köln)",)


def test_a_name_that_another_became_is_numbered(tmp_path):
    nodes = [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}, {"id": 3, "name": "a #1"}]
    graph = {
        "nodes": nodes,
        "edges": [{"source": 1, "target": 2, "length": 1}, {"source": 3, "target": 2, "length": 1}],
    }
    assert imported(tmp_path, "t.json", json.dumps(graph)).topology.names == ("a #0", "a #1", "a #1 #2")


def test_ids_are_text_or_numbers_and_may_be_any_script(tmp_path):
    graph = {"nodes": [{"id": "東京"}, {"id": 7}], "edges": [{"source": "東京", "target": 7, "length_km": 2}]}
    assert imported(tmp_path, "t.json", json.dumps(graph)).topology.names == ("東京", "7")


def test_nodes_without_ids_are_counted_as_in_d3(tmp_path):
    graph = {"nodes": [{"name": "a"}, {"name": "b"}], "links": [{"source": 0, "target": 1, "length": 5}]}
    assert imported(tmp_path, "t.json", json.dumps(graph)).topology.names == ("a", "b")


def test_attributes_of_which_nothing_is_made_are_named(tmp_path):
    text = "source,target,length,colour\na,b,5,red\n"
    assert "attributes of edges that nothing is made of: 1 (colour)" in imported(tmp_path, "t.csv", text).notes


def test_notes_can_be_printed_whatever_the_ids_are(tmp_path):
    nodes = [{"id": "\ud800\x1b[2J", "name": "a"}, {"id": "b"}, {"id": "c"}]
    read = imported(tmp_path, "t.json", node_link(nodes=nodes, links=[{"source": "b", "target": "c", "length": 1}]))
    assert read.notes[0] == "nodes without an edge left out: 1 (\\ud800\\x1b[2J)"


def test_semicolons_tabs_comments_and_byte_order_marks_are_read(tmp_path):
    for separator in ";\t":
        text = "\ufeff# made by hand\n\n" + "from,to,length\na,b,5\n".replace(",", separator)
        assert imported(tmp_path, "t.csv", text).topology.length.tolist() == [5, 5]


def graphml(
    edges: str = '<edge source="a" target="b"/>', head: str = "", nodes: str = '<node id="a"/><node id="b"/>'
) -> str:
    return f'<graphml>\n{head}<graph edgedefault="undirected">\n{nodes}\n{edges}\n</graph></graphml>'


def test_graphml_keys_have_defaults(tmp_path):
    head = '<key id="k" for="edge" attr.name="length"><default>5</default></key>'
    assert imported(tmp_path, "t.graphml", graphml(head=head)).topology.length.tolist() == [5, 5]


SNDLIB = """<?xml version="1.0" encoding="ISO-8859-1"?>
<network xmlns="http://sndlib.zib.de/network" version="1.0">
 <meta><unit>MBITPERSEC</unit></meta>
 <networkStructure>
  <nodes coordinatesType="geographical">
   <node id="Köln"><coordinates><x>6.96</x><y>50.94</y></coordinates></node>
   <node id="Bonn"><coordinates><x>7.10</x><y>50.73</y></coordinates></node>
   <node id="Ulm"><coordinates><x>9.99</x><y>48.40</y></coordinates></node>
  </nodes>
  <links>
   <link id="L1"><source>Köln</source><target>Bonn</target>
    <preInstalledModule><capacity>155.0</capacity><cost>0</cost></preInstalledModule></link>
   <link id="L2"><source> Bonn </source><target>Ulm</target>
    <additionalModules><addModule><capacity>40</capacity></addModule><addModule><capacity>622</capacity></addModule>
    </additionalModules></link>
   <link id="L3"><source>Ulm</source><target>Köln</target></link>
  </links>
 </networkStructure>
</network>
"""


def test_sndlib_modules_are_rates_when_the_unit_is_said(tmp_path):
    network = imported(tmp_path, "t.xml", SNDLIB.encode("latin-1")).topology
    assert network.names == ("Köln", "Bonn", "Ulm")
    assert network.rate is not None
    assert network.rate.tolist()[0] == 155e6
    assert network.rate[3] == 622e6
    assert np.isnan(network.rate[1])
    assert network.length[0] == pytest.approx(25.3e3, rel=0.01)


def test_sndlib_capacities_without_a_unit_are_not_used_and_that_is_said(tmp_path):
    read = imported(tmp_path, "t.xml", SNDLIB.replace("<unit>MBITPERSEC</unit>", "").encode("latin-1"))
    assert read.topology.rate is None
    assert read.notes == ("capacities not used: no <unit> says what they are",)


def test_sndlib_links_go_one_way_if_asked(tmp_path):
    text = SNDLIB.replace('"geographical"', '"pixel"').encode("latin-1")
    read = imported(tmp_path, "t.xml", text, directed=True)
    assert len(read.topology.src) == 3
    assert read.topology.length[0] == pytest.approx(1e3 * np.hypot(0.14, 0.21))


# What is refused ------------------------------------------------------------------------------------------------------

GML = "graph [\n node [ id 1 lat 0 lon 0 ]\n node [ id 2 lat 0 lon 1 ]\n edge [ source 1 target 2 ]\n]"


def node_link(**changes: object) -> str:
    graph: dict[str, object] = {
        "nodes": [{"id": "a"}, {"id": "b"}],
        "links": [{"source": "a", "target": "b", "length": 1}],
    }
    return json.dumps({**graph, **changes})


def link(**said: object) -> str:
    return node_link(links=[{"source": "a", "target": "b", "length": 1, **said}])


def second(said: dict[str, object]) -> str:
    return node_link(nodes=[{"id": "a", "x": 1, "y": 2}, {"id": "b", **said}])


EDGE = '<edge source="a" target="b"'


def sndlib(old: str, new: str) -> bytes:
    return SNDLIB.replace(old, new).encode("latin-1")


@pytest.mark.parametrize(
    ("name", "text", "problem", "line", "key"),
    [
        ("t.csv", TOWN + "c,d,,,-3\n", "out of range: '-3'", 7, "length_km"),
        ("t.csv", TOWN + "c,d,,,nan\n", "not a number: 'nan'", 7, "length_km"),
        ("t.csv", TOWN + "c,d,,,inf\n", "not a number: 'inf'", 7, "length_km"),
        ("t.csv", TOWN + "c,d,,,long\n", "not a number: 'long'", 7, "length_km"),
        ("t.csv", TOWN + "d,,91,0,\nd,a,,,\n", "out of range: '91'", 7, "node 'd'.latitude"),
        ("t.csv", TOWN + "d,,0,181,\nd,a,,,\n", "out of range: '181'", 7, "node 'd'.longitude"),
        ("t.csv", TOWN + "a,c,9,,\n", "node 'a' is at '9' here, at '0' in line 2", 7, "latitude"),
        ("t.csv", TOWN + "a,c\n", "2 fields in a table of 5 columns", 7, None),
        ("t.csv", TOWN + ",c,,,\n", "a row without a source", 7, None),
        ("t.csv", TOWN + '"a,c,,,\n', "not CSV", 7, None),
        ("t.csv", "a,b\nc,d\n", "0 columns of sources in the first line", 1, None),
        ("t.csv", "source,from,target\n", "2 columns of sources", 1, None),
        ("t.csv", "source,target,x,x\n", "two columns of one name", 1, None),
        ("t.csv", "source,target,directed\na,b,maybe\n", "not true or false", 2, "directed"),
        ("t.csv", "# nothing\n", "nothing but comments", 1, None),
        ("t.csv", "source,target\n", "no edge between two nodes", None, "edges"),
        ("t.csv", "source,target,length\na,a,1\n", "no edge between two nodes", None, "edges"),
        ("t.csv", "  \n", "the file is empty", 1, None),
        ("t.csv", "source,target,length\na\u0085b,c,1\n", "cannot be printed", 2, "node 'a\\x85b'.name"),
        ("t.csv", b"source,target\na,b\xff\n", "not UTF-8", 2, None),
        ("t.csv", "source,target\na,b\n".encode("utf-16"), "not UTF-8", 1, None),
        ("t.gml", GML.replace("id 2", "id 1"), "the id '1' is that of line 2, too", 3, "node 1"),
        ("t.gml", GML.replace("target 2", "target 3"), "no node has the id '3'", 4, "edge 1 - 3"),
        ("t.gml", GML.replace("target 2", ""), "no target", 4, "edge"),
        ("t.gml", GML.replace("id 2", "id [ ]"), "no id", 3, "node"),
        ("t.gml", GML.replace("id 2", "id 2.5"), "id is 2.5", 3, "node"),
        ("t.gml", GML[:-1], "the file ends inside the list of line 1", 4, None),
        ("t.gml", GML + "]", "unexpected ]", 5, None),
        ("t.gml", GML.replace("id 2", "2 id"), "unexpected '2'", 3, None),
        ("t.gml", GML.replace("id 2", "id lat"), "unexpected 'lat'", 3, None),
        ("t.gml", GML.replace("lat 0", "lat INF", 1), "not a number: inf", 2, "node 1.lat"),
        ("t.gml", GML.replace("lat 0", "lat 1" + "0" * 5000, 1), "not a number", 2, "node 1.lat"),
        ("t.gml", GML.replace("lat 0", 'lat "x', 1), "not GML", 2, None),
        ("t.gml", GML.replace("graph", "graf"), "0 graphs", 1, None),
        ("t.gml", GML.replace("graph [", "graph [ directed 2"), "2", 1, "directed"),
        ("t.gml", GML.replace("edge [ source 1 target 2 ]", "edge 5"), "5", 4, "edge"),
        ("t.gml", "graph [ " + "a [ " * 30, "nested too deep", 1, None),
        ("t.json", "{", "not JSON", 1, None),
        ("t.json", "[" * 100_000, "nested too deep", 1, None),
        ("t.json", "1" * 5000, "number too long", 1, None),
        ("t.json", "[1]", "a graph is an object, not list", 1, None),
        ("t.json", "{}", "the key 'nodes' is missing", 1, None),
        ("t.json", node_link(nodes=5), "not a list: 5", None, "nodes"),
        ("t.json", node_link(nodes=[5]), "not an object: 5", None, "nodes[0]"),
        ("t.json", node_link(nodes=[{"id": "a"}, {"name": "b"}]), "no id", None, "nodes[1]"),
        ("t.json", node_link(nodes=[{"id": "a"}, {"id": [1]}]), "id is [1]", None, "nodes[1]"),
        ("t.json", node_link(nodes=[{"id": 1}, {"id": "1"}]), "the id '1' is that of nodes[0], too", None, "nodes[1]"),
        ("t.json", link(target=None), "no target", None, "links[0]"),
        ("t.json", link(target="c"), "no node has the id 'c'", None, "links[0]"),
        ("t.json", link(length=True), "not a number", None, "links[0].length"),
        ("t.json", link(length=10**400), "too large", None, "links[0].length"),
        ("t.json", link(loss=1.5), "out of range", None, "links[0].loss"),
        ("t.json", node_link(directed="no"), "'no'", None, "directed"),
        ("t.json", node_link(nodes=[{"id": "a", "pos": [1]}, {"id": "b"}]), "not a position", None, "nodes[0].pos"),
        ("t.json", second({"lat": 1, "lon": 2}), "degrees here", None, "nodes[1]"),
        ("t.json", second({"x": 90000, "y": 2}), "out of range of a plane", None, "nodes[0]"),
        ("t.json", second({"name": "\ud800"}), "cannot be printed", None, "nodes[1].name"),
        ("t.graphml", graphml()[:-4], "not XML", 5, None),
        ("t.graphml", "<!DOCTYPE a>" + graphml(), "documents with a DTD are refused", 1, None),
        ("t.graphml", '<?xml version="1.0" encoding="nonsense"?>' + graphml(), "not XML", 1, None),
        ("t.graphml", graphml("&unknown;"), "not XML: undefined entity", 4, None),
        ("t.graphml", "<gexf/>", "the root element is <gexf>", 1, None),
        ("t.graphml", "<graphml/>", "0 graphs", 1, None),
        ("t.graphml", graphml().replace('"undirected"', '"both"'), "edgedefault='both'", 2, "graph"),
        ("t.graphml", graphml('<edge source="a"/>'), "<edge> has no target", 4, None),
        ("t.graphml", graphml(nodes='<node di="a"/>'), "<node> has no id", 3, None),
        ("t.graphml", graphml("<hyperedge/>"), "hyperedges", 4, None),
        ("t.graphml", graphml(nodes='<node id="a"><graph/></node>'), "a graph inside a node", 3, "node 'a'"),
        ("t.graphml", graphml(f'{EDGE} directed="?"/>'), "not true or false", 4, "edge 'a' - 'b'.directed"),
        ("t.graphml", graphml(f'{EDGE}><data key="q"/></edge>'), "no key 'q'", 4, "edge 'a' - 'b'"),
        ("t.graphml", graphml("<a>" * 60 + "</a>" * 60), "nested too deep", 4, None),
        ("t.graphml", graphml(), "neither nodes have coordinates nor this edge a length", 4, "edge 'a' - 'b'"),
        ("t.xml", sndlib("MBITPERSEC", "E1"), "'E1'", 3, "unit"),
        ("t.xml", sndlib("geographical", "polar"), "'polar'", 5, "nodes.coordinatesType"),
        ("t.xml", sndlib("155.0", "-1"), "not a capacity: '-1'", 12, "capacity"),
        ("t.xml", sndlib("155.0", "many"), "not a capacity: 'many'", 12, "capacity"),
        ("t.xml", sndlib("nodes", "knots"), "<networkStructure> has no <nodes>", 4, None),
        ("t.xml", sndlib("<target>Ulm</target>", ""), "<link> has no <target>", 13, None),
        ("t.xml", sndlib("<source>Ulm", "<source>Rom"), "no node has the id 'Rom'", 16, "link 'L3'"),
        ("t.xml", sndlib("6.96", "696"), "out of range: '696'", 6, "node 'K\xf6ln'.longitude"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_by_line_or_element(tmp_path, name, text, problem, line, key):
    error = refused(tmp_path, name, text)
    assert problem in error.message
    assert (error.line, error.key) == (line, key)


def test_entities_that_grow_are_refused_before_they_do(tmp_path):
    bomb = '<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert "DTD" in refused(tmp_path, "t.graphml", bomb + "]>" + graphml("&i;")).message


def test_a_packed_file_is_read_no_further_than_allowed(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "MOST_BYTES", 2**20)
    error = refused(tmp_path, "t.csv.gz", gzip.compress(bytes(2**26)))
    assert error.message == "larger than 1 MiB"


def test_files_of_too_many_things_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(raw, "MOST_EDGES", 1)
    assert refused(tmp_path, "t.csv", TOWN).line == 6
    monkeypatch.setattr(raw, "MOST_NODES", 2)
    assert refused(tmp_path, "t.csv", TOWN).line == 4
    monkeypatch.setattr(elements, "MOST_ELEMENTS", 3)
    assert refused(tmp_path, "t.graphml", graphml()).line == 3
    monkeypatch.undo()
    monkeypatch.setattr(layout, "MOST_UNPLACED", 1)
    assert "2 nodes without coordinates" in refused(tmp_path, "t.csv", "source,target,length\na,b,1\n").message


def test_packed_files_that_are_cut_or_damaged_are_refused_with_a_line(tmp_path):
    packed = gzip.compress(TOWN.encode(), mtime=0)
    assert refused(tmp_path, "t.csv.gz", packed[:-9]).message == "gzip data cut short"
    assert refused(tmp_path, "t.csv.gz", TOWN.encode()).line == 1
    broken = bytearray(packed)
    broken[-5] ^= 255
    assert "damaged gzip data" in refused(tmp_path, "t.csv.gz", bytes(broken)).message
    assert (
        len(
            imported(
                tmp_path, "t.csv.gz", gzip.compress(TOWN[:60].encode()) + gzip.compress(TOWN[60:].encode())
            ).topology
        )
        == 3
    )


def test_files_that_are_not_there_or_no_graphs_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        files.read(tmp_path / "a.gml")
    with pytest.raises(ConfigError, match=r"its name ends in '\.graphm'") as caught:
        files.read(tmp_path / "a.graphm")
    assert caught.value.nearest == ".graphml"
    with pytest.raises(ConfigError, match="cannot be written"):
        files.write(topologies.load("ring"), tmp_path / "nowhere" / "a.gml")
    with pytest.raises(ConfigError, match="its name has no ending"):
        files.write(topologies.load("ring"), tmp_path / "a")


@pytest.mark.parametrize("name", ["", " a", "a\n", "a\u2028b", "\ud800"])
def test_a_place_whose_name_no_file_can_keep_is_refused(tmp_path, name):
    ring = topologies.load("ring")
    with pytest.raises(ConfigError, match="name"):
        files.write(dataclasses.replace(ring, names=(name, *ring.names[1:])), tmp_path / "a.json")


@pytest.mark.parametrize("suffix", files.SUFFIXES)
@given(content=st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_a_topology_or_one_error(tmp_path_factory, suffix, content):
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_bytes(content)
    found = either(path)
    if isinstance(found, ConfigError):
        assert found.file == str(path)
        assert found.line is not None or found.key is not None
    else:
        assert len(found.topology) >= 2


def either(path) -> files.Imported | ConfigError:
    try:
        return files.read(path)
    except ConfigError as error:
        return error


# In a scenario --------------------------------------------------------------------------------------------------------


@pytest.fixture
def town(tmp_path):
    (tmp_path / "town.csv").write_text(TOWN)
    (tmp_path / "scenario.yaml").write_text("name: mine\nunderlay:\n  topology: town.csv\n")
    return tmp_path / "scenario.yaml"


def test_a_scenario_finds_a_graph_file_beside_itself(town):
    found = scenario.load(town)
    assert found.underlay.topology.file == (town.parent / "town.csv").as_posix()
    assert scenario.compile(found, 1).underlay.topology.names == ("a", "b", "c")
    assert allowed_for(found.topology(1).name) == "evaluate"
    assert scenario.change(found, ["calls.rate=2"]).topology(1).name == "file/town"


def test_a_graph_file_is_found_from_where_meshsim_was_started(town, monkeypatch):
    monkeypatch.chdir(town.parent)
    found = scenario.load("demo", ["underlay.topology={file: town.csv, component: largest}"])
    assert found.underlay.topology.file == "town.csv"


def test_a_graph_file_that_has_changed_is_told(town):
    found = scenario.load(town)
    (town.parent / "town.csv").write_text(TOWN + "a,c,,,50\n")
    with pytest.raises(ConfigError, match="is not the one that is meant") as caught:
        scenario.change(found, ["calls.rate=2"])
    assert caught.value.key == "underlay.topology.file"


@pytest.mark.parametrize(
    ("content", "problem", "allowed"),
    [
        (TOWN + "x,y,,,-5\n", "town.csv:7: length_km: out of range: '-5'", "0 to 1e+06"),
        (TOWN + "x,y,,,5\n", "is in parts: the largest has 3 of 5 places", "component: largest"),
        ("", "town.csv:1: the file is empty", None),
    ],
)
def test_a_scenario_tells_what_is_wrong_in_its_graph_file(town, content, problem, allowed):
    (town.parent / "town.csv").write_text(content)
    with pytest.raises(ConfigError) as caught:
        scenario.load(town)
    assert problem in caught.value.message
    assert (caught.value.file, caught.value.line) == (str(town), 3)
    assert allowed is None or allowed in caught.value.allowed


@pytest.mark.parametrize(
    ("value", "key", "near"),
    [
        ("{file: town.csv, comp0nent: all}", "underlay.topology.comp0nent", "component"),
        ("{file: town.csv, component: larges}", "underlay.topology.component", "largest"),
        ("{file: 5}", "underlay.topology.file", None),
        ("{file: other.csv}", "underlay.topology.file", None),
        ("other.csv", "underlay.topology.file", None),
        ('"\\0.csv"', "underlay.topology.file", None),
        ("{}", "underlay.topology", None),
        ("{file: scenario.yaml}", "underlay.topology.file", ".xml"),
    ],
)
def test_what_a_scenario_says_of_a_file_is_checked(town, value, key, near):
    town.write_text(f"underlay:\n  topology: {value}\n")
    with pytest.raises(ConfigError) as caught:
        scenario.load(town)
    assert (caught.value.key, caught.value.nearest, caught.value.line) == (key, near, 2)


def test_options_of_a_file_are_checked_by_name(town):
    path = str(town.parent / "town.csv")
    assert len(topologies.load(path, component="all")) == 3
    with pytest.raises(ConfigError, match="files have no option 'part'"):
        topologies.load(path, part="all")
    with pytest.raises(ConfigError, match="'most'"):
        topologies.load(path, component="most")

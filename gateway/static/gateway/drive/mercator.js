// Where places lie on a map of web Mercator: the world is a square from 0 to 1, and its picture 256 pixels wide at zoom 0.

export const TILE = 256;
export const MOST_ZOOM = 18;
const LEAST_ZOOM = 1; // the world is never narrower than the frame

export const scaleAt = (zoom) => TILE * 2 ** zoom;

export function pointOf({ latitude, longitude }) {
  const radians = (Math.max(-85, Math.min(85, latitude)) * Math.PI) / 180;
  return { x: (longitude + 180) / 360, y: 0.5 - Math.asinh(Math.tan(radians)) / (2 * Math.PI) };
}

const latitudeAt = (y) => (Math.atan(Math.sinh((0.5 - y) * 2 * Math.PI)) * 180) / Math.PI;
const longitudeAt = (x) => (((x % 1) + 1) % 1) * 360 - 180;

/** What is looked at: a middle and a zoom, kept on the map. */
export function viewAt(x, y, zoom, { height }) {
  const level = Math.max(LEAST_ZOOM, Math.min(MOST_ZOOM, zoom));
  const margin = height / 2 / scaleAt(level);
  return { x: ((x % 1) + 1) % 1, y: Math.max(margin, Math.min(1 - margin, y)), zoom: level };
}

/** The closest look at all of these points, `edge` pixels off the frame. */
export function viewOf(points, frame, { edge, closest }) {
  const [west, east] = extent(points.map((point) => point.x));
  const [north, south] = extent(points.map((point) => point.y));
  const fits = (zoom) => (east - west) * scaleAt(zoom) <= frame.width - 2 * edge && (south - north) * scaleAt(zoom) <= frame.height - 2 * edge;
  let zoom = closest;
  while (zoom > LEAST_ZOOM && !fits(zoom)) zoom -= 1;
  return viewAt((west + east) / 2, (north + south) / 2, zoom, frame);
}

const extent = (values) => [Math.min(...values), Math.max(...values)];

/** In pixels of the frame; the short way round the world. */
export function pixelOf(point, view, { width, height }) {
  const east = point.x - view.x;
  return {
    x: Math.round(width / 2 + (east - Math.round(east)) * scaleAt(view.zoom)),
    y: Math.round(height / 2 + (point.y - view.y) * scaleAt(view.zoom)),
  };
}

/** As the app protocol has an area. */
export function boxOf({ x, y, zoom }, { width, height }) {
  const [across, down] = [width / 2 / scaleAt(zoom), height / 2 / scaleAt(zoom)];
  return { south: latitudeAt(y + down), west: longitudeAt(x - across), north: latitudeAt(y - down), east: longitudeAt(x + across) };
}

/** The tiles that cover the frame and a little more, with the pixel they begin at. */
export function tilesOf(view, { width, height }, margin) {
  const count = 2 ** view.zoom;
  const left = view.x * scaleAt(view.zoom) - width / 2;
  const top = view.y * scaleAt(view.zoom) - height / 2;
  const tiles = [];
  for (let column = Math.floor((left - margin) / TILE); column * TILE < left + width + margin; column += 1) {
    for (let row = Math.max(0, Math.floor((top - margin) / TILE)); row < count && row * TILE < top + height + margin; row += 1) {
      tiles.push({ z: view.zoom, x: ((column % count) + count) % count, y: row, left: Math.round(column * TILE - left), top: Math.round(row * TILE - top) });
    }
  }
  return tiles;
}

const RADIUS_KM = 6371;

/** The longest round distance that is no wider than so many pixels, with its width. */
export function ruler({ y, zoom }, most) {
  const kmOfPixel = (2 * Math.PI * RADIUS_KM * Math.cos((latitudeAt(y) * Math.PI) / 180)) / scaleAt(zoom);
  const power = 10 ** Math.floor(Math.log10(most * kmOfPixel));
  const km = power * [5, 2, 1].find((step) => step * power <= most * kmOfPixel);
  return { km, width: km / kmOfPixel };
}

/** As the crow flies. */
export function distanceKm(a, b) {
  const radians = (degrees) => (degrees * Math.PI) / 180;
  const half = Math.sin(radians(b.latitude - a.latitude) / 2) ** 2 + Math.cos(radians(a.latitude)) * Math.cos(radians(b.latitude)) * Math.sin(radians(b.longitude - a.longitude) / 2) ** 2;
  return 2 * RADIUS_KM * Math.asin(Math.sqrt(Math.min(1, half)));
}
